"""Counts and statistics of a data set's documents and labels."""

import numpy as np

from xmcbench.data.dataset import Counts
from xmcbench.data.selection import Selection


def counts_of(labels: int, parts: dict[str, Selection]) -> Counts:
    """Count documents, labels and pairs; train includes validation."""
    pairs = {name: len(part.labels()[1]) for name, part in parts.items()}
    return Counts(
        documents_train=len(parts["train"]) + len(parts["validation"]),
        documents_validation=len(parts["validation"]),
        documents_test=len(parts["test"]),
        labels=labels,
        pairs_train=pairs["train"] + pairs["validation"],
        pairs_test=pairs["test"],
    )


def statistics_of(
    labels: int, parts: dict[str, Selection], index_L: np.ndarray | None = None
) -> dict[str, float]:
    """Return what tables show of a data set. index_L: as in `Selection.copy`."""
    held = {name: _label_counts(part, labels, index_L) for name, part in parts.items()}
    train_L, count_L = held["train"], held["train"] + held["validation"]
    documents = len(parts["train"]) + len(parts["validation"])
    kept = len(count_L)
    return {
        "empty texts kept": sum(_empty_texts(part) for part in parts.values()),
        "labels without training documents": int((train_L == 0).sum()),
        "labels with at most 5 training documents": int((count_L <= 5).sum()),
        "labels per training document": round(int(count_L.sum()) / max(1, documents), 4),
        "labels per test document": round(int(held["test"].sum()) / max(1, len(parts["test"])), 4),
        "training documents per label": round(int(count_L.sum()) / max(1, kept), 4),
    }


def _label_counts(part: Selection, labels: int, index_L: np.ndarray | None) -> np.ndarray:
    _, indices = part.labels()
    if index_L is not None:
        indices = index_L[indices]
        indices, labels = indices[indices >= 0], int(index_L.max(initial=-1)) + 1
    return np.bincount(indices, minlength=labels)


def _empty_texts(part: Selection) -> int:
    """Count the texts of nothing but blanks; only those that are short can be."""
    count = 0
    for source in np.unique(part.source_N):
        texts = part.splits[int(source)].texts()
        rows = part.row_N[part.source_N == source]
        short = rows[np.asarray(texts.offsets[rows + 1] - texts.offsets[rows]) < 64]
        count += sum(not texts[int(row)].strip() for row in short)
    return count
