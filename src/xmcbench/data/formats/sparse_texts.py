"""Sparse label matrices as text beside texts: `trn_X_Y.txt` with a header `rows labels` and a line of `label:value`
a document, `trn_X.txt` with its texts, `Y.txt` with label texts, `trn_filter_labels.txt`; likewise `tst_…`.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xmcbench.data.corpus import Document
from xmcbench.data.formats.filters import read_filter
from xmcbench.data.formats.folder import Folder, label_indices, paired, row_id
from xmcbench.errors import DataError

NAMES = {"train": "trn", "test": "tst"}
#: More labels than any index of the suite can hold.
MOST = 2**31 - 1


class SparseTexts:
    """A corpus as texts and sparse text matrices."""

    splits = ("train", "test")

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._matrix = {s: folder.file(f"{n}_X_Y.txt") for s, n in NAMES.items()}
        self._header = {s: header(folder, path) for s, path in self._matrix.items()}
        if self._header["train"][1] != self._header["test"][1]:
            raise DataError(
                f"{self._matrix['test']}, line 1: {self._header['test'][1]} labels, but {self._matrix['train']} has "
                f"{self._header['train'][1]}"
            )
        self._labels = self._header["train"][1]

    def label_ids(self) -> Sequence[str]:
        return [str(i) for i in range(self._labels)]

    def label_texts(self) -> Iterator[str] | None:
        path = self._folder.optional("Y.txt")
        if path is None:
            return None
        found = self._folder.count(path)
        if found != self._labels:
            raise DataError(
                f"{path}: {found} lines; allowed: {self._labels}, as the header of {self._matrix['train']} says"
            )
        return (text for _, text in self._folder.lines(path))

    def documents(self, split: str) -> Iterator[Document]:
        path, texts = self._matrix[split], self._folder.file(f"{NAMES[split]}_X.txt")
        rows = matrix_rows(self._folder, path, self._header[split])
        for row, (number, text, its) in enumerate(paired(self._folder.lines(texts), rows, texts, path)):
            distinct, repeated = label_indices(its, self._labels, f"{path}, line {number}")
            yield Document(row_id(row), text, distinct, repeated)

    def filter_pairs(self, split: str) -> np.ndarray | None:
        names = (f"{NAMES[split]}_filter_labels.txt", f"filter_labels_{split}.txt")
        return read_filter(self._folder, *names, rows=self._header[split][0], labels=self._labels)


def header(folder: Folder, path: Path) -> tuple[int, int]:
    """Return (rows, columns) of a sparse text matrix."""
    number, line = next(folder.lines(path))
    fields = line.split()
    if len(fields) != 2 or not all(f.isascii() and f.isdigit() for f in fields):
        raise DataError(
            f"{path}, line {number}: {line[:60]!r} is no header; allowed: two numbers, rows and columns"
        )
    rows, columns = int(fields[0]), int(fields[1])
    if max(rows, columns) > MOST or columns == 0:
        raise DataError(
            f"{path}, line {number}: {rows} × {columns}; allowed: 1 … {MOST} columns, as many rows"
        )
    return rows, columns


def matrix_rows(folder: Folder, path: Path, shape: tuple[int, int]) -> Iterator[tuple[int, list[int]]]:
    """Yield (line number, columns whose value is not zero) of each row; repeated columns stay.

    Raises DataError naming file and line for anything but `column:value` with a column of the header and a finite value,
    and for more or fewer rows than the header says.
    """
    rows, columns = shape
    lines = folder.lines(path)
    next(lines)
    number = 1
    for number, line in lines:
        if number - 1 > rows:
            raise DataError(f"{path}, line {number}: the header says {rows} rows")
        yield number, _columns(line, columns, f"{path}, line {number}")
    if number - 1 < rows:
        raise DataError(f"{path}, line {number}: ends after {number - 1} rows; the header says {rows}")


def _columns(line: str, columns: int, place: str) -> list[int]:
    found = []
    for item in line.split():
        left, colon, right = item.partition(":")
        try:
            column, value = int(left), float(right)
        except ValueError as error:
            raise DataError(f"{place}: {item[:40]!r}; allowed: column:value") from error
        if not colon or "_" in item or not math.isfinite(value):
            raise DataError(f"{place}: {item[:40]!r}; allowed: column:value with a finite value")
        if not 0 <= column < columns:
            raise DataError(f"{place}: label {column}; allowed: 0 … {columns - 1}")
        if value != 0:
            found.append(column)
    return found
