"""What every parser gives: a data set as its public files state it, one document at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

#: The only split of a corpus that was published undivided; the split rule divides it.
WHOLE = "whole"


@dataclass(frozen=True)
class Document:
    """One document; `labels` are distinct label indices in rising order."""

    id: str
    text: str
    labels: tuple[int, ...]
    repeated_labels: int = 0


class Corpus(Protocol):
    """A data set on its way into a prepared store. Reading is streamed: memory does not grow with N.

    Every method raises DataError naming file and line for what it cannot read.
    """

    @property
    def splits(self) -> tuple[str, ...]:
        """Name the splits that exist: ("train", "test") as published, or (WHOLE,)."""
        ...

    def label_ids(self) -> Sequence[str]:
        """Return the label ids in index order (of a format without a list of them: from one pass over all files)."""
        ...

    def label_texts(self) -> Iterator[str] | None:
        """Yield the text of every label in index order; None if the labels have none."""
        ...

    def documents(self, split: str) -> Iterator[Document]:
        """Yield the documents of a split in file order."""
        ...

    def filter_pairs(self, split: str) -> np.ndarray | None:
        """Return F×2 (int64) pairs (document's position in the split, label index) to be removed from predictions."""
        ...
