"""What a run trains on: the training split, with it the validation documents or the label texts if so asked.

Shapes: N documents, L labels.
"""

from dataclasses import dataclass

import numpy as np

from xmcbench.data.store import PreparedStore, Split, Tokens
from xmcbench.data.tokens import LABELS, TokenStore
from xmcbench.errors import ConfigError, DataError


@dataclass(frozen=True)
class TrainingDocuments:
    """Splits and their tokens, one after the other."""

    splits: list[Split]
    tokens: list[Tokens]


def training_documents(
    store: PreparedStore, tokens: TokenStore, hold_out_validation: bool, label_augmentation: bool
) -> TrainingDocuments:
    """Return the training documents of a run; label texts, if asked for, come last.

    Raises ConfigError if label texts are asked for that the data set does not have, DataError for tokens of another
    state of the data.
    """
    names = ["train"] if hold_out_validation else ["train", "validation"]
    found = TrainingDocuments([store.split(n) for n in names], [tokens.split(n) for n in names])
    if label_augmentation:
        found.splits.append(label_split(store))
        found.tokens.append(tokens.split(LABELS))
    for split, (_, offsets) in zip(found.splits, found.tokens, strict=True):
        if split.documents != len(offsets) - 1:
            raise DataError(
                f"{tokens.folder}: tokens of {len(offsets) - 1} documents, {store.folder} has {split.documents}; "
                "tokenise the data set again"
            )
    return found


def label_split(store: PreparedStore) -> Split:
    """Return the label texts as L documents, each with the label itself as its only one.

    They train and nothing else: propensities, groups and statistics go on counting the splits of the store
    (the official code also counts them, and so scores against other propensities). Raises ConfigError if the labels
    have no texts.
    """
    texts = store.label_texts
    if texts is None:
        raise ConfigError(
            f"data.label_augmentation: the labels of {store.manifest.dataset} have no texts; allowed: false"
        )
    indptr, indices = np.arange(store.labels + 1, dtype=np.int64), np.arange(store.labels, dtype=np.int32)
    return Split(store.labels, indptr, indices, texts, store.label_ids)
