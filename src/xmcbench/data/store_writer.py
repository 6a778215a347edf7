"""Writes a prepared store one document at a time: memory does not grow with the number of documents.

Arrays first, under temporary names; the manifest last, so that a store without one is no store.
"""

import hashlib
import os
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from xmcbench.atomic import sync_folder, write_json
from xmcbench.data.store import FORMAT, SPLITS, Manifest

#: Bytes gathered before they go to the file.
BLOCK = 1 << 20


@dataclass(frozen=True)
class Rows:
    """Documents of one split that are in memory."""

    ids: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[Sequence[int]]


class ArrayWriter:
    """A one-dimensional .npy file (or F×2 with `columns`) that grows."""

    def __init__(self, path: Path, dtype: type[np.generic], columns: int = 0) -> None:
        self.path, self.length = path, 0
        self._dtype, self._columns = np.dtype(dtype), columns
        self._tmp = path.with_name(f".{path.name}.tmp")
        self._handle = self._tmp.open("wb")
        self._handle.write(self._header())
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._size = 0

    def append(self, values: np.ndarray | bytes) -> None:
        """Append numbers of the array's type, or their bytes."""
        raw = values if isinstance(values, bytes) else np.ascontiguousarray(values, self._dtype).tobytes()
        self.length += len(raw) // self._dtype.itemsize // max(1, self._columns)
        self._waiting.append(raw)
        self._size += len(raw)
        if self._size >= BLOCK:
            self._flush()

    def close(self) -> str:
        """Write the final shape, sync, give the file its name, and return the SHA-256 of its numbers."""
        self._flush()
        self._handle.seek(0)
        self._handle.write(self._header())
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        os.replace(self._tmp, self.path)
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Remove what was written."""
        self._handle.close()
        self._tmp.unlink(missing_ok=True)

    def _flush(self) -> None:
        raw = b"".join(self._waiting)
        self._digest.update(raw)
        self._handle.write(raw)
        self._waiting, self._size = [], 0

    def _header(self) -> bytes:
        """numpy leaves room for a longer first dimension, so that this has the same size at the end."""
        shape = (self.length, self._columns) if self._columns else (self.length,)
        text = repr({"descr": self._dtype.str, "fortran_order": False, "shape": shape})
        header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"
        assert len(header) == 128
        return header


class TextWriter:
    """Strings end to end: UTF-8 bytes and one offset more than strings."""

    def __init__(self, folder: Path, name: str) -> None:
        self.bytes = ArrayWriter(folder / f"{name}.npy", np.uint8)
        self.offsets = ArrayWriter(folder / f"{name}_offsets.npy", np.int64)
        self.offsets.append(np.zeros(1, np.int64))

    def append(self, text: str) -> None:
        """Append one string."""
        self.bytes.append(text.encode("utf-8"))
        self.offsets.append(self.bytes.length.to_bytes(8, sys.byteorder))

    def append_encoded(self, data: np.ndarray, lengths: np.ndarray) -> None:
        """Append many strings: their bytes end to end (uint8) and how many each has."""
        start = self.bytes.length
        self.bytes.append(data)
        self.offsets.append(start + np.cumsum(lengths))


class SplitWriter:
    """The documents of one split."""

    def __init__(self, folder: Path, name: str) -> None:
        self.texts, self.ids = TextWriter(folder, f"{name}_texts"), TextWriter(folder, f"{name}_ids")
        self.indptr = ArrayWriter(folder / f"{name}_indptr.npy", np.int64)
        self.indices = ArrayWriter(folder / f"{name}_indices.npy", np.int32)
        self.indptr.append(np.zeros(1, np.int64))

    def append(self, identity: str, text: str, labels: Sequence[int]) -> None:
        """Append one document; its labels are sorted."""
        self.ids.append(identity)
        self.texts.append(text)
        self.indices.append(array("i", sorted(labels)).tobytes())
        self.indptr.append(self.indices.length.to_bytes(8, sys.byteorder))

    def append_labels(self, labels: np.ndarray, lengths: np.ndarray) -> None:
        """Append the labels of many documents, end to end, and how many each has."""
        start = self.indices.length
        self.indices.append(labels.astype(np.int32))
        self.indptr.append(start + np.cumsum(lengths))

    @property
    def documents(self) -> int:
        """How many documents were appended."""
        return self.indptr.length - 1


class StoreWriter:
    """A store in the making. As a context manager it removes its temporary files if the block raises."""

    def __init__(self, folder: Path, dataset: str, splits: Sequence[str] = SPLITS) -> None:
        self.folder, self._dataset = folder, dataset
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").unlink(missing_ok=True)
        # A filter or label texts of an earlier store in this folder must not outlive it.
        for stale in folder.glob("*.npy"):
            stale.unlink()
        self.splits = {name: SplitWriter(folder, name) for name in splits}
        self._others: dict[str, ArrayWriter] = {}
        self._texts: dict[str, TextWriter] = {}

    def texts(self, name: str) -> TextWriter:
        """Return the writer of a list of strings, `label_ids` or `label_texts`."""
        if name not in self._texts:
            self._texts[name] = TextWriter(self.folder, name)
        return self._texts[name]

    def filter_pairs(self, split: str, pairs: np.ndarray | None) -> None:
        """Write F×2 filter pairs of a split, if it has any filter."""
        if pairs is not None:
            self._others[f"{split}_filter"] = ArrayWriter(self.folder / f"{split}_filter.npy", np.int64, 2)
            self._others[f"{split}_filter"].append(pairs)

    def close(self, statistics: dict[str, float]) -> Manifest:
        """Give every array its name, then write and return the manifest."""
        labels = self.texts("label_ids").offsets.length - 1
        digests = {w.path.stem: w.close() for w in self._writers()}
        sync_folder(self.folder)
        manifest = Manifest(
            format=FORMAT,
            dataset=self._dataset,
            labels=labels,
            documents={name: s.documents for name, s in self.splits.items()},
            pairs={name: s.indices.length for name, s in self.splits.items()},
            statistics=statistics,
            sha256=digests,
        )
        write_json(self.folder / "manifest.json", manifest.model_dump())
        return manifest

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for writer in self._writers():
                writer.abandon()

    def _writers(self) -> Iterable[ArrayWriter]:
        for text in self._texts.values():
            yield from (text.bytes, text.offsets)
        for split in self.splits.values():
            for text in (split.texts, split.ids):
                yield from (text.bytes, text.offsets)
            yield from (split.indptr, split.indices)
        yield from self._others.values()


def write_store(
    folder: Path,
    dataset: str,
    label_ids: Sequence[str],
    splits: dict[str, Rows],
    statistics: dict[str, float],
    label_texts: Sequence[str] | None = None,
    filter_pairs: dict[str, np.ndarray] | None = None,
) -> Manifest:
    """Write a store of documents that are in memory."""
    with StoreWriter(folder, dataset) as store:
        for name, texts in (("label_ids", label_ids), ("label_texts", label_texts)):
            for text in texts or ():
                store.texts(name).append(text)
        for name in SPLITS:
            rows = splits.get(name, Rows([], [], []))
            for identity, text, labels in zip(rows.ids, rows.texts, rows.labels, strict=True):
                store.splits[name].append(identity, text, labels)
            store.filter_pairs(name, (filter_pairs or {}).get(name))
        return store.close(statistics)
