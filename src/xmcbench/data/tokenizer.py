"""A tokenizer as the suite uses it: cut to a length, never padding, its special tokens and pad id its own.

Shapes: N documents of a call, T tokens of all of them.
"""

import hashlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from xmcbench import packaged_minilm
from xmcbench.errors import ConfigError, DataError

#: The pad id of a tokenizer that has no padding token; as an index it fails at once, wherever it is used.
NO_PAD = -1


class DocumentTokenizer:
    """Texts to flat token ids; `special` puts the tokenizer's own special tokens around each, inside `max_length`.

    Raises DataError for a tokenizer that is not to be had or cannot pad though `special` tokens are for encoders
    that do, and ConfigError for a length that special tokens alone fill.
    """

    def __init__(self, name: str, max_length: int, special: bool) -> None:
        self._encoder = load_tokenizer(name)
        self.special = special
        added = self._encoder.num_special_tokens_to_add(is_pair=False) if special else 0
        if max_length <= added:
            raise ConfigError(
                f"data.max_length: {max_length} leaves no token of the text beside the {added} special ones of "
                f"{name!r}; allowed: more than {added}"
            )
        self.pad_id = _pad_id(self._encoder)
        if special and self.pad_id == NO_PAD:
            raise DataError(f"encoder.pretrained: the tokenizer of {name!r} has no padding token")
        # Ids may have gaps, so the largest counts, not how many there are.
        self.vocabulary: int = max(self._encoder.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self.dtype = np.dtype(np.uint16 if self.vocabulary <= 65_536 else np.uint32)
        self._encoder.no_padding()
        self._encoder.enable_truncation(max_length)

    def sha256(self) -> str:
        """Return the hash of all that decides its output but the library: vocabulary, rules and length."""
        return hashlib.sha256(f"{self.special}\0{self._encoder.to_str()}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return token ids end to end (uint16 or uint32, T) and the number of each text's (int64, N)."""
        ids = [e.ids for e in self._encoder.encode_batch_fast(texts, add_special_tokens=self.special)]
        length_N = np.fromiter(map(len, ids), np.int64, count=len(ids))
        flat_T = np.fromiter(chain.from_iterable(ids), self.dtype, count=int(length_N.sum()))
        return flat_T, length_N


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


def _pad_id(encoder: Tokenizer) -> int:
    """Return what the tokenizer pads with: as it says, or its special token of that name."""
    stated = (encoder.padding or {}).get("pad_id")
    if stated is not None:
        return int(stated)
    added = sorted(encoder.get_added_tokens_decoder().items())
    named = [id for id, token in added if token.special and "pad" in token.content.lower()]
    plain = [id for text in ("[PAD]", "<pad>") if (id := encoder.token_to_id(text)) is not None]
    return int((named + plain + [NO_PAD])[0])
