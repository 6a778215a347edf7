"""Documents picked from prepared splits and copied into another store, without reading what is not picked.

Shapes: N documents picked, P positive pairs of theirs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xmcbench.data.store import Split
from xmcbench.data.store_writer import SplitWriter

#: Documents copied at a time.
BLOCK = 8192


def gather(rows: np.ndarray, offsets: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of some rows end to end, and how many each has."""
    start, length = np.asarray(offsets[rows]), np.asarray(offsets[rows + 1] - offsets[rows])
    first = np.cumsum(length) - length
    position = np.arange(int(length.sum())) + np.repeat(start - first, length)
    return flat[position], length


@dataclass(frozen=True)
class Selection:
    """Documents of several splits, in an order of one's own: row_N of the split numbered source_N."""

    splits: Sequence[Split]
    source_N: np.ndarray
    row_N: np.ndarray

    @classmethod
    def of(cls, splits: Sequence[Split]) -> "Selection":
        """Select everything, one split after the other."""
        source = np.repeat(np.arange(len(splits)), [s.documents for s in splits])
        rows = [np.arange(s.documents) for s in splits]
        return cls(splits, source, np.concatenate(rows) if rows else np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.row_N)

    def at(self, positions: np.ndarray) -> "Selection":
        """Select from the selection: positions, or a mask."""
        return Selection(self.splits, self.source_N[positions], self.row_N[positions])

    def sorted_by_id(self) -> "Selection":
        """Return the same documents in the order of their ids."""
        ids = list(self.ids())
        return self.at(np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64))

    def ids(self) -> Iterator[str]:
        """Yield the documents' ids."""
        for source, row in zip(self.source_N.tolist(), self.row_N.tolist(), strict=True):
            yield self.splits[source].ids()[row]

    def labels(self, index_L: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return indptr (int64, N+1) and indices (P) of the documents' labels. index_L: as in `copy`."""
        blocks = [self._labels_block(at, index_L) for at in range(0, len(self), BLOCK)]
        lengths = np.concatenate([np.zeros(1, np.int64), *(length for _, length in blocks)])
        values = [values for values, _ in blocks] or [np.zeros(0, np.int32)]
        return np.cumsum(lengths), np.concatenate(values)

    def copy(self, to: SplitWriter, index_L: np.ndarray | None = None) -> None:
        """Append the documents to a split. index_L: the new index of every label, −1 for one that goes."""
        for at in range(0, len(self), BLOCK):
            to.ids.append_encoded(*self._block(at, "ids"))
            to.texts.append_encoded(*self._block(at, "texts"))
            to.append_labels(*self._labels_block(at, index_L))

    def pairs(
        self, found: Sequence[np.ndarray | None], index_L: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Return filter pairs (row of a split, label) of each split as rising pairs (position here, label).

        found: F×2 of every split; None if one of them has no filter. index_L: as in `copy`.
        """
        parts = []
        for number, (split, its) in enumerate(zip(self.splits, found, strict=True)):
            if its is None:
                return None
            place = np.full(split.documents, -1, dtype=np.int64)
            here = np.flatnonzero(self.source_N == number)
            place[self.row_N[here]] = here
            row, label = place[its[:, 0]], its[:, 1] if index_L is None else index_L[its[:, 1]]
            kept = (row >= 0) & (label >= 0)
            parts.append(np.stack([row[kept], label[kept]], axis=1))
        joined = np.concatenate(parts)
        return joined[np.lexsort((joined[:, 1], joined[:, 0]))]

    def _labels_block(self, at: int, index_L: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        labels, lengths = self._block(at, "labels")
        if index_L is not None:
            kept = index_L[labels] >= 0
            row = np.repeat(np.arange(len(lengths)), lengths)[kept]
            labels, lengths = index_L[labels[kept]], np.bincount(row, minlength=len(lengths))
        return labels, lengths

    def _block(self, at: int, what: str) -> tuple[np.ndarray, np.ndarray]:
        """Return values and lengths of a block of documents, in order."""
        source, rows = self.source_N[at : at + BLOCK], self.row_N[at : at + BLOCK]
        present = np.unique(source)
        if len(present) == 1:
            return gather(rows, *_arrays(self.splits[int(present[0])], what))
        # Gather each split's documents, then put them in order.
        parts = [gather(rows[source == s], *_arrays(self.splits[int(s)], what)) for s in present]
        flat = np.concatenate([values for values, _ in parts])
        lengths = np.concatenate([length for _, length in parts])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        order = np.empty(len(rows), np.int64)
        order[np.concatenate([np.flatnonzero(source == s) for s in present])] = np.arange(len(rows))
        return gather(order, offsets, flat)


def _arrays(split: Split, what: str) -> tuple[np.ndarray, np.ndarray]:
    if what == "labels":
        return split.indptr, split.indices
    texts = split.texts() if what == "texts" else split.ids()
    return texts.offsets, texts.data
