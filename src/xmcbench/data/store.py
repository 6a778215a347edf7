"""The prepared store: texts, labels and ids of every split as flat memory-mapped arrays, and a manifest.

Shapes: N documents, L labels, P positive pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from xmcbench.atomic import read_json
from xmcbench.errors import DataError

FORMAT = 1
SPLITS = ("train", "validation", "test")

#: Tokens of documents end to end, and where each document begins (and the last one ends).
Tokens = tuple[np.ndarray, np.ndarray]


class Manifest(BaseModel):
    """What a store holds; written last, so that a store without it is no store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    dataset: str
    labels: int
    documents: dict[str, int]
    pairs: dict[str, int]
    statistics: dict[str, float]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Texts:
    """Strings end to end: UTF-8 bytes and N+1 offsets."""

    data: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> str:
        return bytes(self.data[self.offsets[i] : self.offsets[i + 1]]).decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class Split:
    """Documents of one split: indptr (int64, N+1) and indices (int32, P) of their labels, rising and distinct."""

    documents: int
    indptr: np.ndarray
    indices: np.ndarray
    _texts: Texts
    _ids: Texts

    def text(self, i: int) -> str:
        """Return the text of document i."""
        return self._texts[i]

    def texts(self) -> Texts:
        """Return all texts, readable one by one."""
        return self._texts

    def ids(self) -> Texts:
        """Return all document ids."""
        return self._ids


class PreparedStore:
    """A folder that `StoreWriter` made, opened without reading it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.labels = manifest.labels
        self._cache: dict[str, Split] = {}

    @classmethod
    def open(cls, folder: Path) -> "PreparedStore":
        """Open a store; raises DataError if it is absent, of another format, or has a label id out of range."""
        file = folder / "manifest.json"
        if not file.is_file():
            raise DataError(f"{file}: missing; prepare the data set first")
        try:
            manifest = Manifest.model_validate(read_json(file))
        except (ValidationError, ValueError) as error:
            raise DataError(f"{file}: not a manifest of this suite ({str(error).splitlines()[0]})") from error
        if manifest.format != FORMAT:
            raise DataError(
                f"{file}: format {manifest.format}; allowed: {FORMAT}; prepare the data set again"
            )
        return cls(folder, manifest)

    @property
    def label_ids(self) -> Texts:
        """Return the id of every label, in rising order."""
        return self._texts("label_ids")

    @property
    def label_texts(self) -> Texts | None:
        """Return the text of every label, in index order; None if the labels have none."""
        return self._texts("label_texts") if (self.folder / "label_texts.npy").is_file() else None

    def filter_pairs(self, name: str) -> np.ndarray | None:
        """Return F×2 (int64) pairs (document of the split, label) that no prediction may hold; None without a filter.

        The truth stays as it is (the LF sets' rule: a document that is itself a label must not predict itself).
        """
        return self._array(f"{name}_filter") if (self.folder / f"{name}_filter.npy").is_file() else None

    def split(self, name: str) -> Split:
        """Open one split."""
        if name not in self._cache:
            if name not in self.manifest.documents:
                raise DataError(
                    f"split: unknown value {name!r}; allowed: {', '.join(self.manifest.documents)}"
                )
            indptr, indices = self._array(f"{name}_indptr"), self._array(f"{name}_indices")
            split = Split(
                len(indptr) - 1, indptr, indices, self._texts(f"{name}_texts"), self._texts(f"{name}_ids")
            )
            self._require_range(name, split)
            self._cache[name] = split
        return self._cache[name]

    def label_counts(self, *names: str) -> np.ndarray:
        """Count the documents of each label (int64, L) over the named splits."""
        counts = np.zeros(self.labels, dtype=np.int64)
        for name in names:
            counts += np.bincount(self.split(name).indices, minlength=self.labels)
        return counts

    def _array(self, name: str) -> np.ndarray:
        file = self.folder / f"{name}.npy"
        try:
            array: np.ndarray = np.load(file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: cannot be read ({error})") from error
        return array

    def _texts(self, name: str) -> Texts:
        return Texts(self._array(name), self._array(f"{name}_offsets"))

    def _require_range(self, name: str, split: Split) -> None:
        indices = split.indices
        if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= self.labels):
            pair = int(np.flatnonzero((indices < 0) | (indices >= self.labels))[0])
            document = int(np.searchsorted(split.indptr, pair, side="right")) - 1
            raise DataError(
                f"{self.folder / (name + '_indices.npy')}: document {document} ({split.ids()[document]}) has label "
                f"{int(indices[pair])}; allowed: 0 … {self.labels - 1}"
            )
