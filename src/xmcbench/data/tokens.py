"""Tokens of every document, made once: flat ids and offsets, memory-mapped.

Shapes: N documents, T tokens of all of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from xmcbench import packaged_minilm
from xmcbench.atomic import read_json, replacing, write_json
from xmcbench.data.store import SPLITS, PreparedStore
from xmcbench.errors import DataError

FORMAT = 1
CHUNK = 10_000


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
        """Return flat token ids (uint16 or uint32, T) and offsets (int64, N+1)."""
        return (
            np.load(self.folder / f"{name}.npy", mmap_mode="r"),
            np.load(self.folder / f"{name}_offsets.npy", mmap_mode="r"),
        )


def tokenise(store_folder: Path, out_folder: Path, tokenizer: str, max_length: int, special: bool) -> None:
    """Tokenise every split of a store.

    tokenizer: `packaged/minilm-l6`, a folder with tokenizer.json, or a hub id. special: put the tokenizer's own
    special tokens around each document (inside max_length). An empty text gives an empty document, or its special
    tokens alone.
    """
    encoder = load_tokenizer(tokenizer)
    pad_id = (encoder.padding or {}).get("pad_id")
    if pad_id is None:
        pad_id = next((i for t in ("[PAD]", "<pad>") if (i := encoder.token_to_id(t)) is not None), 0)
    encoder.no_padding()
    encoder.enable_truncation(max_length)
    vocabulary = encoder.get_vocab_size(with_added_tokens=True)
    dtype = np.uint16 if vocabulary <= 65_536 else np.uint32
    store = PreparedStore.open(store_folder)
    for name in SPLITS:
        flat, lengths = [np.zeros(0, dtype)], [np.zeros(0, np.int64)]
        for ids in _encode(encoder, store.split(name).texts(), special):
            lengths.append(np.array([len(i) for i in ids], dtype=np.int64))
            flat.append(np.fromiter((t for i in ids for t in i), dtype=dtype, count=int(lengths[-1].sum())))
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        for file, array in ((f"{name}.npy", np.concatenate(flat)), (f"{name}_offsets.npy", offsets)):
            with replacing(out_folder / file) as tmp:
                np.save(tmp, array)
    manifest = {"format": FORMAT, "tokenizer": tokenizer, "max_length": max_length, "special": special}
    write_json(out_folder / "tokens.json", {**manifest, "vocabulary": vocabulary, "pad_id": pad_id})


def load_tokenizer(name: str) -> Tokenizer:
    """Load a tokenizer; raises DataError in one line if it is not to be had."""
    folder = packaged_minilm.folder() if name == packaged_minilm.NAME else Path(name)
    try:
        if (folder / "tokenizer.json").is_file():
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        return Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises bare Exception for every failure
        reason = str(error).splitlines()[0]
        raise DataError(f"encoder.pretrained: no tokenizer for {name!r}: {reason}") from error


def _encode(encoder: Tokenizer, texts: Any, special: bool) -> Iterator[list[list[int]]]:
    for chunk in _chunks(texts):
        yield [e.ids for e in encoder.encode_batch_fast(chunk, add_special_tokens=special)]


def _chunks(texts: Any) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := [t for _, t in zip(range(CHUNK), iterator, strict=False)]:
        yield chunk
