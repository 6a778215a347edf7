"""Tokens in parts: a fixed number of documents each, encoded by processes, kept over a kill, joined in order.

Why processes and not the tokenizer's own threads: those encode in parallel, but one thread decodes the texts and takes
the ids over. That was 4 % of the processor time of MiniLM's tokenizer on Debian texts: on two cores the two ways took
the same time, on 16 threads could give 1 / (0.04 + 0.96/16) = 10 times one core. And a part that one process makes is
what a killed try can keep. Where a part begins depends on nothing but its number, so the joined files are the same
whatever the number of processes.

Memory of a process: TEXT_BYTES of text, of which the library keeps some hundred bytes a token until they are taken
over (4 bytes of text a token: tens of MB), and one part's ids, PART·max_length·2 bytes (5 MB at 512 tokens).

Shapes: N documents of a part, T tokens of all of them.
"""

import hashlib
import os
import shutil
import threading
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import pairwise
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import tokenizers

from xmcbench.atomic import read_json, replacing, write_json
from xmcbench.data.store import PreparedStore, Texts
from xmcbench.data.tokenizer import DocumentTokenizer

PART = 5_000
#: Parts that a process must have to do, or its start costs more than it gives.
WORTHWHILE = 4
TEXT_BYTES = 1 << 20
#: The label texts, tokenised like a split.
LABELS = "labels"


@dataclass(frozen=True)
class Part:
    """Documents start … end−1 of a split."""

    split: str
    number: int
    start: int
    end: int

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.split}-{self.number:06d}.npz"

    @property
    def documents(self) -> int:
        """How many documents it holds."""
        return self.end - self.start


@dataclass(frozen=True)
class Job:
    """What every process needs to know."""

    store: Path
    parts: Path
    tokenizer: str
    max_length: int
    special: bool


def parts_of(split: str, documents: int) -> list[Part]:
    """Cut a split into parts."""
    starts = range(0, documents, PART)
    return [Part(split, i, start, min(start + PART, documents)) for i, start in enumerate(starts)]


def texts_of(store: PreparedStore, split: str) -> Texts | None:
    """Return the texts of a split, or of the labels (None if they have none)."""
    return store.label_texts if split == LABELS else store.split(split).texts()


def kept_parts(job: Job, tokenizer: DocumentTokenizer, parts: list[Part]) -> set[Part]:
    """Return the parts that an earlier try left whole; anything made of other texts or otherwise is removed.

    What parts were made of is their manifest: the store's manifest (it holds the texts' hashes), the tokenizer's
    hash, the library's version, and the part size.
    """
    manifest = {
        "job": {k: str(v) for k, v in asdict(job).items() if k not in ("store", "parts")},
        "store": hashlib.sha256((job.store / "manifest.json").read_bytes()).hexdigest(),
        "tokenizer": tokenizer.sha256(),
        "library": tokenizers.__version__,
        "part": PART,
    }
    file = job.parts / "parts.json"
    if not file.is_file() or _json_or_none(file) != manifest:
        shutil.rmtree(job.parts, ignore_errors=True)
        write_json(file, manifest)
    for rest in job.parts.glob(".*.tmp*"):
        rest.unlink(missing_ok=True)
    return {part for part in parts if _is_whole(job.parts / part.file, part)}


def encode_parts(job: Job, parts: list[Part], processes: int) -> Iterator[Part]:
    """Encode parts, yielding each when its file is in place; with one process, in this one."""
    if processes <= 1:
        _start(job)
        for part in parts:
            yield _encode(part)
        return
    # Spawned, not forked: the caller may hold threads (a tokenizer's, torch's), which a fork would break.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_child, initargs=(job,))
    try:
        for done in as_completed([pool.submit(_encode, part) for part in parts]):
            yield done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def join_parts(folder: Path, parts: list[Part], out: Path, split: str, dtype: np.dtype) -> None:
    """Write `{split}.npy` (T) and `{split}_offsets.npy` (int64, N+1) of a split's parts, a part at a time."""
    tokens = 0

    def offsets() -> Iterator[np.ndarray]:
        nonlocal tokens
        yield np.zeros(1, np.int64)
        for part in parts:
            with np.load(folder / part.file) as arrays:
                ends = tokens + np.cumsum(arrays["length"])
            tokens = int(ends[-1])
            yield ends

    def flat() -> Iterator[np.ndarray]:
        for part in parts:
            with np.load(folder / part.file) as arrays:
                yield arrays["flat"]

    documents = sum(part.documents for part in parts)
    _write_blocks(out / f"{split}_offsets.npy", np.dtype(np.int64), documents + 1, offsets())
    _write_blocks(out / f"{split}.npy", dtype, tokens, flat())


def _write_blocks(path: Path, dtype: np.dtype, count: int, blocks: Iterable[np.ndarray]) -> None:
    """Write the bytes that numpy.save would write of the blocks end to end, without holding them together."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    with replacing(path) as tmp, open(tmp, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)


def _encode(part: Part) -> Part:
    job, texts_by_split, tokenizer = _worker[0]
    texts = texts_by_split[part.split]
    flat: list[np.ndarray] = [np.zeros(0, tokenizer.dtype)]
    lengths: list[np.ndarray] = [np.zeros(0, np.int64)]
    for block in _blocks(texts, part.start, part.end):
        flat_T, length_N = tokenizer.encode(block)
        flat.append(flat_T)
        lengths.append(length_N)
    with replacing(job.parts / part.file) as tmp:
        np.savez(tmp, flat=np.concatenate(flat), length=np.concatenate(lengths))
    return part


def _blocks(texts: Texts, start: int, end: int) -> Iterator[list[str]]:
    """Yield texts in lists of TEXT_BYTES or less (a longer text alone): truncation comes after encoding a whole text."""
    offsets = np.asarray(texts.offsets[start : end + 1])
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + TEXT_BYTES, side="right")) - 1
        last = min(max(last, first + 1), len(offsets) - 1)
        # One read of the memory map, then plain slices: indexing a memory map costs more than a short text.
        data = texts.data[offsets[first] : offsets[last]].tobytes()
        cuts = (offsets[first : last + 1] - offsets[first]).tolist()
        yield [data[a:b].decode("utf-8") for a, b in pairwise(cuts)]
        first = last


class _Texts(dict[str, Texts]):
    """Texts by split, opened when first asked for."""

    def __init__(self, store: PreparedStore) -> None:
        self._store = store

    def __missing__(self, split: str) -> Texts:
        texts = texts_of(self._store, split)
        assert texts is not None, "no part was cut of texts that are not there"
        self[split] = texts
        return texts


#: What `_encode` of this process works with.
_worker: list[tuple[Job, _Texts, DocumentTokenizer]] = []


def _start(job: Job) -> None:
    tokenizer = DocumentTokenizer(job.tokenizer, job.max_length, job.special)
    _worker[:] = [(job, _Texts(PreparedStore.open(job.store)), tokenizer)]


def _start_child(job: Job) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _start(job)


def _leave_with_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot send the word, and a pool waits for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _is_whole(file: Path, part: Part) -> bool:
    try:
        with np.load(file) as arrays:
            length_N, flat_T = arrays["length"], arrays["flat"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False
    return len(length_N) == part.documents and int(length_N.sum()) == len(flat_T)


def _json_or_none(file: Path) -> object:
    try:
        return read_json(file)
    except ValueError:
        return None
