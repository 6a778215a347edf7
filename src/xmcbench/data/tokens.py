"""Tokens of every document, made once: flat ids and offsets, memory-mapped.

Shapes: N documents, T tokens of all of them.
"""

import logging
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tqdm import tqdm

from xmcbench.atomic import read_json, write_json
from xmcbench.data import token_parts
from xmcbench.data.store import SPLITS, PreparedStore
from xmcbench.data.token_parts import LABELS, Job, Part
from xmcbench.data.tokenizer import DocumentTokenizer, load_tokenizer
from xmcbench.errors import DataError

__all__ = ["LABELS", "TokenStore", "load_tokenizer", "tokenise"]

FORMAT = 1
#: Between two lines of progress where no terminal shows a bar.
LOG_SECONDS = 10.0


class TokenStore:
    """A folder that `tokenise` made."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.vocabulary: int = manifest["vocabulary"]
        self.pad_id: int = manifest["pad_id"]
        self.special: bool = manifest["special"]

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Open tokens; raises DataError if they are absent or of another format."""
        file = folder / "tokens.json"
        if not file.is_file():
            raise DataError(f"{file}: missing; tokenise the data set first")
        manifest = read_json(file)
        if manifest.get("format") != FORMAT:
            raise DataError(f"{file}: format {manifest.get('format')}; allowed: {FORMAT}; tokenise again")
        return cls(folder, manifest)

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return flat token ids (uint16 or uint32, T) and offsets (int64, N+1).

        name: a split, or `labels` for the label texts. Raises DataError if it was not tokenised.
        """
        file = self.folder / f"{name}.npy"
        if not file.is_file():
            raise DataError(f"{file}: missing; tokenise the data set again")
        return np.load(file, mmap_mode="r"), np.load(self.folder / f"{name}_offsets.npy", mmap_mode="r")


def tokenise(
    store_folder: Path,
    out_folder: Path,
    tokenizer: str,
    max_length: int,
    special: bool,
    processes: int = 1,
    log: logging.Logger | None = None,
) -> None:
    """Tokenise every split of a store, and its label texts (if it has any) as the split `labels`.

    tokenizer: `packaged/minilm-l6`, a folder with tokenizer.json, or a hub id. special: put the tokenizer's own
    special tokens around each document (inside max_length). An empty text gives an empty document, or its special
    tokens alone. processes: changes no byte. After a kill the parts that were finished are kept. Raises DataError and
    ConfigError for a tokenizer that does not do.
    """
    log = log or logging.getLogger("xmcbench")
    own = DocumentTokenizer(tokenizer, max_length, special)
    store = PreparedStore.open(store_folder)
    sizes = {name: store.split(name).documents for name in SPLITS}
    if store.label_texts is not None:
        sizes[LABELS] = len(store.label_texts)
    parts = {name: token_parts.parts_of(name, size) for name, size in sizes.items()}
    every = [part for its in parts.values() for part in its]

    # Without this file the folder is no token store, whatever else an earlier try left.
    (out_folder / "tokens.json").unlink(missing_ok=True)
    job = Job(store_folder, out_folder / ".parts", tokenizer, max_length, special)
    kept = token_parts.kept_parts(job, own, every)
    if kept:
        log.info("tokens: %d of %d parts are kept from an earlier try", len(kept), len(every))
    left = [part for part in every if part not in kept]
    documents = sum(part.documents for part in left)
    useful = min(processes, documents // (token_parts.PART * token_parts.WORTHWHILE))
    total, done = sum(sizes.values()), sum(part.documents for part in kept)
    for _ in _progress(token_parts.encode_parts(job, left, useful), done, total, log):
        pass
    for name, its in parts.items():
        token_parts.join_parts(job.parts, its, out_folder, name, own.dtype)
    manifest = {
        "format": FORMAT,
        "tokenizer": tokenizer,
        "tokenizer_sha256": own.sha256(),
        "tokenizers": tokenizers.__version__,
        "max_length": max_length,
        "special": special,
        "vocabulary": own.vocabulary,
        "pad_id": own.pad_id,
        "documents": sizes,
    }
    write_json(out_folder / "tokens.json", manifest)
    shutil.rmtree(job.parts)


def _progress(parts: Iterable[Part], done: int, total: int, log: logging.Logger) -> Iterator[Part]:
    """Pass parts through, showing a bar on a terminal and a line now and then elsewhere."""
    said = time.monotonic()
    bar = tqdm(total=total, initial=done, desc="tokens", unit="document", disable=not sys.stderr.isatty())
    with bar:
        for part in parts:
            bar.update(part.documents)
            done += part.documents
            if bar.disable and time.monotonic() - said >= LOG_SECONDS:
                said = time.monotonic()
                log.info("tokens: %d of %d documents", done, total)
            yield part
