"""Mirrored pairs: what the ruler `new_links` takes out, for sets whose labels are themselves documents.

A pair (d, l) is mirrored if l is a training document that has the label d. Where most links go both ways (98 % in
wordnet-114k) such a pair is read off the training data; what stays are links that training shows in no direction.
Every mirrored pair goes out of the predictions, true or not, so that the rule never looks at the test truth.

Shapes: N documents, L labels, P positive pairs of a split.
"""

import numpy as np

from xmcbench.data.store import PreparedStore, Texts
from xmcbench.errors import DataError
from xmcbench.evaluation.pairs import Pairs

TRAINING = ("train", "validation")


def mirrored_pairs(store: PreparedStore) -> Pairs:
    """Return the pairs (test document d, label l) whose mirror (l, d) is a train or validation pair.

    Raises DataError if no training document is a label: then the data set has no mirrors, and the ruler no meaning.
    """
    index = {identity: label for label, identity in enumerate(store.label_ids)}
    test = store.split("test")
    row_L = np.full(store.labels, -1, dtype=np.int64)
    label_N = _label_of_document(test.ids(), index)
    row_L[label_N[label_N >= 0]] = np.flatnonzero(label_N >= 0)
    found, documents_that_are_labels = [], 0
    for name in TRAINING:
        split = store.split(name)
        label_N = _label_of_document(split.ids(), index)
        documents_that_are_labels += int((label_N >= 0).sum())
        label_P = np.repeat(label_N, np.diff(split.indptr))
        row_P = row_L[split.indices]
        kept_P = (label_P >= 0) & (row_P >= 0)
        found.append(np.stack([row_P[kept_P], label_P[kept_P]], axis=1))
    if not documents_that_are_labels:
        raise DataError(
            f"{store.folder}: evaluation.rulers: new_links needs documents that are labels, but no training "
            "document's id is a label id; allowed here: []"
        )
    return Pairs.of(np.concatenate(found), test.documents, store.labels)


def _label_of_document(ids: Texts, index: dict[str, int]) -> np.ndarray:
    """Return label_N: the label that each document is, −1 if it is none."""
    return np.fromiter((index.get(identity, -1) for identity in ids), dtype=np.int64, count=len(ids))
