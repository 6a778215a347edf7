"""A budget's sample of a prepared data set.

It takes the share of training documents with smallest h under its salt, keeps labels with enough of them (of these the
share with smallest h of their number, if a label share is asked for), takes test documents likewise, restricts truth to
kept labels, and drops documents left without any. Labels keep their order. A rule
that takes everything changes nothing: no label and no document goes.
"""

from pathlib import Path

import numpy as np

from xmcbench.data.dataset import DatasetSpec, SampleSpec, require_counts
from xmcbench.data.selection import Selection
from xmcbench.data.split import hash_order, held_out
from xmcbench.data.statistics import counts_of, label_counts, statistics_of
from xmcbench.data.store import Manifest, PreparedStore
from xmcbench.data.store_writer import StoreWriter


def sample(prepared: Path, spec: DatasetSpec, budget: str, rule: SampleSpec, folder: Path) -> Manifest:
    """Write a budget's sample of a prepared data set; counts are compared with `counts.<budget>`."""
    store = PreparedStore.open(prepared)
    whole = rule.share == rule.label_share == 1 and rule.minimum_label_documents == 1
    train = Selection.of([store.split("train"), store.split("validation")]).sorted_by_id()
    test = Selection.of([store.split("test")]).sorted_by_id()
    dropped = [0, 0]
    index_L = np.arange(store.labels)
    if not whole:
        train, test = _smallest(train, rule), _smallest(test, rule)
        count_L = np.bincount(train.labels()[1], minlength=store.labels)
        kept_L = _labels(count_L >= rule.minimum_label_documents, rule)
        index_L = np.where(kept_L, np.cumsum(kept_L) - 1, -1)
        (train, dropped[0]), (test, dropped[1]) = _labelled(train, kept_L), _labelled(test, kept_L)
    labels = int(index_L.max(initial=-1)) + 1
    indptr, indices = train.labels(index_L)
    rule_of = spec.split
    validation = held_out(
        train.ids(), indptr, indices, labels, rule_of.validation_salt, rule_of.validation_share
    )
    parts = {"train": train.at(~validation), "validation": train.at(validation), "test": test}
    held = label_counts(labels, parts, index_L)
    pairs_of = {name: store.filter_pairs(name) for name in parts}
    filters = {
        name: part.pairs(
            [pairs_of["test"]] if name == "test" else [pairs_of["train"], pairs_of["validation"]], index_L
        )
        for name, part in parts.items()
    }
    found = counts_of(parts, held)
    if filters["test"] is not None:
        found = found.model_copy(update={"filter_pairs_test": len(filters["test"])})
    require_counts(spec, budget, found)
    statistics: dict[str, float] = {
        "documents without kept labels, train": dropped[0],
        "documents without kept labels, test": dropped[1],
        **statistics_of(parts, held),
    }
    with StoreWriter(folder, spec.name) as out:
        for name, texts in (("label_ids", store.label_ids), ("label_texts", store.label_texts)):
            if texts is not None:
                for label in np.flatnonzero(index_L >= 0):
                    out.texts(name).append(texts[int(label)])
        for name, part in parts.items():
            part.copy(out.splits[name], None if whole else index_L)
            out.filter_pairs(name, filters[name])
        return out.close(statistics)


def _smallest(documents: Selection, rule: SampleSpec) -> Selection:
    order = hash_order(documents.ids(), rule.salt)
    return documents.at(np.sort(order[: round(rule.share * len(documents))]))


def _labels(kept_L: np.ndarray, rule: SampleSpec) -> np.ndarray:
    """Return kept_L (bool) with only the label share's first in hash order: label spaces of one salt are nested."""
    kept = np.flatnonzero(kept_L)
    order = hash_order((f"label {label}" for label in kept), rule.salt)
    chosen_L = np.zeros_like(kept_L)
    chosen_L[kept[order[: round(rule.label_share * len(kept))]]] = True
    return chosen_L if rule.label_share < 1 else kept_L


def _labelled(documents: Selection, kept_L: np.ndarray) -> tuple[Selection, int]:
    """Return the documents that have a kept label, and how many have none."""
    indptr, indices = documents.labels()
    row = np.repeat(np.arange(len(documents)), np.diff(indptr))
    left = np.bincount(row[kept_L[indices]], minlength=len(documents)) > 0
    return documents.at(left), int((~left).sum())
