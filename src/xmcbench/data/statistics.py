"""Counts and statistics of a data set's documents and labels."""

import numpy as np

from xmcbench.data.dataset import Counts
from xmcbench.data.selection import Selection


def label_counts(
    labels: int, parts: dict[str, Selection], index_L: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Count the documents of each label (L) in every part, once for all below. index_L: as in `Selection.copy`."""
    return {name: np.bincount(part.labels(index_L)[1], minlength=labels) for name, part in parts.items()}


def counts_of(parts: dict[str, Selection], held: dict[str, np.ndarray]) -> Counts:
    """Count documents, labels and pairs; train includes validation. held: of `label_counts`."""
    pairs = {name: int(count_L.sum()) for name, count_L in held.items()}
    return Counts(
        documents_train=len(parts["train"]) + len(parts["validation"]),
        documents_validation=len(parts["validation"]),
        documents_test=len(parts["test"]),
        labels=len(held["train"]),
        pairs_train=pairs["train"] + pairs["validation"],
        pairs_test=pairs["test"],
    )


def statistics_of(parts: dict[str, Selection], held: dict[str, np.ndarray]) -> dict[str, float]:
    """Return what tables show of a data set. held: of `label_counts`."""
    train_L, count_L = held["train"], held["train"] + held["validation"]
    documents = len(parts["train"]) + len(parts["validation"])
    return {
        "empty texts kept": sum(_empty_texts(part) for part in parts.values()),
        "labels without training documents": int((train_L == 0).sum()),
        "labels with at most 5 training documents": int((count_L <= 5).sum()),
        "labels per training document": round(int(count_L.sum()) / max(1, documents), 4),
        "labels per test document": round(int(held["test"].sum()) / max(1, len(parts["test"])), 4),
        "training documents per label": round(int(count_L.sum()) / max(1, len(count_L)), 4),
    }


def _empty_texts(part: Selection) -> int:
    """Count the texts of nothing but blanks; only those that are short can be."""
    count = 0
    for source in np.unique(part.source_N):
        texts = part.splits[int(source)].texts()
        rows = part.row_N[part.source_N == source]
        short = rows[np.asarray(texts.offsets[rows + 1] - texts.offsets[rows]) < 64]
        count += sum(not texts[int(row)].strip() for row in short)
    return count
