"""Sets of (document, label) pairs that are taken out of predictions or of truth before scoring.

Shapes: F pairs of the set, B documents from document `first` on, k predictions, P positive pairs.
"""

from dataclasses import dataclass

import numpy as np

from xmcbench.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """key_F = document · labels + label (int64), rising and distinct; `labels` is the number of labels."""

    labels: int
    key_F: np.ndarray

    @classmethod
    def of(cls, pair_F2: np.ndarray | None, documents: int, labels: int, source: str = "pairs") -> "Pairs":
        """Take an F×2 integer array (document, label) in any order, or None for no pairs.

        Raises DataError naming `source` and the first pair that is not one of the documents × labels.
        """
        if pair_F2 is None or len(pair_F2) == 0:
            return cls(labels, np.zeros(0, np.int64))
        if pair_F2.ndim != 2 or pair_F2.shape[1] != 2 or not np.issubdtype(pair_F2.dtype, np.integer):
            raise DataError(f"{source}: {pair_F2.dtype} of shape {pair_F2.shape}; allowed: integers, F × 2")
        row_F, label_F = pair_F2[:, 0].astype(np.int64), pair_F2[:, 1].astype(np.int64)
        wrong = np.flatnonzero((row_F < 0) | (row_F >= documents) | (label_F < 0) | (label_F >= labels))
        if len(wrong):
            first = int(wrong[0])
            raise DataError(
                f"{source}: pair {first} is document {row_F[first]}, label {label_F[first]}; "
                f"allowed: documents 0 … {documents - 1}, labels 0 … {labels - 1}"
            )
        return cls(labels, np.unique(row_F * labels + label_F))

    def __or__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.labels, np.union1d(self.key_F, other.key_F))

    def __len__(self) -> int:
        return len(self.key_F)

    @property
    def most_of_one_document(self) -> int:
        """Return the largest number of pairs of one document."""
        if not len(self.key_F):
            return 0
        return int(np.unique(self.key_F // self.labels, return_counts=True)[1].max())

    def contain(self, row: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Tell of each (document, label), shapes broadcast, whether it is in the set; label −1 (none) never is."""
        if not len(self.key_F):
            return np.zeros(np.broadcast_shapes(row.shape, label.shape), dtype=bool)
        key = row * self.labels + label
        place = np.minimum(np.searchsorted(self.key_F, key), len(self.key_F) - 1)
        found: np.ndarray = (self.key_F[place] == key) & (label >= 0)
        return found

    def out_of_predictions(self, label_Bk: np.ndarray, first: int = 0) -> np.ndarray:
        """Return label_Bk without the pairs of the set: later predictions move up, −1 fills the end."""
        row_B1 = np.arange(first, first + len(label_Bk), dtype=np.int64)[:, None]
        taken_Bk = self.contain(row_B1, label_Bk)
        if not taken_Bk.any():
            return label_Bk
        moved_Bk = np.take_along_axis(label_Bk, np.argsort(taken_Bk, axis=1, kind="stable"), axis=1)
        left_B1 = (~taken_Bk).sum(axis=1, keepdims=True)
        return np.where(np.arange(label_Bk.shape[1]) < left_B1, moved_Bk, -1)

    def out_of_truth(self, row_P: np.ndarray, label_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positive pairs that are not in the set."""
        kept_P = ~self.contain(row_P, label_P)
        return row_P[kept_P], label_P[kept_P]
