"""Words for synthetic texts: those of the embedded WordNet texts, with their real frequencies.

Real words, because a pretrained tokenizer knows them: made-up ones would fall into the same few hundred pieces.
"""

import json
import lzma
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

WORDS = 20_000
#: The most frequent words say nothing: no label or topic is told by them.
COMMON = 300
_WORD = re.compile(r"\b[a-z]{3,14}\b")


@dataclass(frozen=True)
class Vocabulary:
    """Words by falling frequency, and the running sum of their shares (float64)."""

    words: tuple[str, ...]
    running: np.ndarray


@cache
def vocabulary() -> Vocabulary:
    """Count the words of the embedded texts; equal counts in alphabetical order."""
    counts = Counter[str]()
    with lzma.open(Path(__file__).parent / "embedded" / "wordnet.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            counts.update(_WORD.findall(json.loads(line)["text"]))
    chosen = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:WORDS]
    running = np.cumsum([count for _, count in chosen], dtype=np.float64)
    return Vocabulary(tuple(word for word, _ in chosen), running / running[-1])
