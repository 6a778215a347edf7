"""PECOS archives: `X.trn.txt` and `X.tst.txt`, a document a line; `Y.trn.npz` and `Y.tst.npz`, scipy CSR of N×L;
`output-items.txt`, the text of label i in line i.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from xmcbench.data.corpus import Document
from xmcbench.data.formats.folder import Folder, label_indices, row_id
from xmcbench.errors import DataError

NAMES = {"train": "trn", "test": "tst"}
#: Numbers read at a time.
BLOCK = 1 << 16


class Pecos:
    """A corpus in PECOS's layout."""

    splits = ("train", "test")

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._shapes = {split: csr_shape(self._labels_file(split)) for split in self.splits}
        columns = {shape[1] for shape in self._shapes.values()}
        if len(columns) != 1:
            raise DataError(
                f"{self._labels_file('test')}: {self._shapes['test'][1]} labels, but {self._labels_file('train')} has "
                f"{self._shapes['train'][1]}"
            )
        self._labels = columns.pop()

    def label_ids(self) -> Sequence[str]:
        return [str(i) for i in range(self._labels)]

    def label_texts(self) -> Iterator[str] | None:
        path = self._folder.optional("output-items.txt")
        if path is None:
            return None
        found = self._folder.count(path)
        if found != self._labels:
            raise DataError(f"{path}: {found} lines; allowed: {self._labels}, one a label of the Y matrices")
        return (text for _, text in self._folder.lines(path))

    def documents(self, split: str) -> Iterator[Document]:
        path, labels = self._folder.file(f"X.{NAMES[split]}.txt"), self._labels_file(split)
        rows = csr_rows(labels)
        row = -1
        for row, (number, text) in enumerate(self._folder.lines(path)):
            its = next(rows, None)
            if its is None:
                raise DataError(f"{path}, line {number}: {labels} has only {row} rows")
            distinct, repeated = label_indices(its, self._labels, f"{labels}, row {row}")
            yield Document(row_id(row), text, distinct, repeated)
        if next(rows, None) is not None:
            raise DataError(f"{path}: {row + 1} lines, but {labels} has {self._shapes[split][0]} rows")

    def filter_pairs(self, split: str) -> np.ndarray | None:
        return None

    def _labels_file(self, split: str) -> Path:
        return self._folder.file(f"Y.{NAMES[split]}.npz")


def csr_shape(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of a scipy CSR file; raises DataError if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            kind = np.load(io.BytesIO(archive.read("format.npy")), allow_pickle=False).item()
            shape = np.load(io.BytesIO(archive.read("shape.npy")), allow_pickle=False)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a sparse matrix that scipy saved ({error})") from error
    if kind not in (b"csr", "csr"):
        raise DataError(f"{path}: a {kind!r} matrix; allowed: csr")
    return int(shape[0]), int(shape[1])


def csr_rows(path: Path) -> Iterator[list[int]]:
    """Yield the columns of each row whose value is not zero, reading the compressed members as streams.

    Raises DataError for values that are not finite, an indptr that falls, and arrays shorter than it says.
    """
    rows, _ = csr_shape(path)
    try:
        with zipfile.ZipFile(path) as archive:
            streams = [archive.open(f"{name}.npy") for name in ("indptr", "indices", "data")]
            indptr, indices, data = (_Numbers(stream, path, stream.name) for stream in streams)
            start = int(indptr.take(1)[0])
            if start != 0 or indptr.length != rows + 1:
                raise DataError(f"{path}: indptr does not describe {rows} rows")
            for row in range(rows):
                end = int(indptr.take(1)[0])
                if end < start:
                    raise DataError(f"{path}, row {row}: indptr falls from {start} to {end}")
                columns, values = indices.take(end - start), data.take(end - start)
                if not np.isfinite(values.astype(np.float64)).all():
                    raise DataError(f"{path}, row {row}: a value is not a finite number")
                yield columns[values != 0].tolist()
                start = end
            if start != indices.length:
                raise DataError(f"{path}: indices holds {indices.length} numbers, indptr describes {start}")
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: damaged archive ({error})") from error


class _Numbers:
    """A one-dimensional .npy stream, read in blocks."""

    def __init__(self, stream: IO[bytes], path: Path, name: str) -> None:
        self._stream, self._place = stream, f"{path}: {name}"
        try:
            version = np.lib.format.read_magic(stream)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, self._dtype = header(stream)
        except ValueError as error:
            raise DataError(f"{self._place}: not an array ({error})") from error
        if self._dtype.kind not in "iufb" or len(shape) != 1:
            raise DataError(
                f"{self._place}: {len(shape)}-dimensional {self._dtype}; allowed: a list of numbers"
            )
        self.length, self._left = int(shape[0]), int(shape[0])
        self._block = np.zeros(0, self._dtype)

    def take(self, count: int) -> np.ndarray:
        """Return the next `count` numbers."""
        while len(self._block) < count:
            wanted = min(self._left, max(BLOCK, count - len(self._block)))
            raw = self._stream.read(wanted * self._dtype.itemsize)
            if wanted == 0 or len(raw) < wanted * self._dtype.itemsize:
                raise DataError(f"{self._place}: ends after {self.length - self._left} of its numbers")
            self._left -= wanted
            self._block = np.concatenate([self._block, np.frombuffer(raw, self._dtype)])
        found, self._block = self._block[:count], self._block[count:]
        return found
