"""Inverse document frequency of tokens."""

from collections.abc import Sequence

import numpy as np

#: Documents counted at a time: memory does not grow with their number.
BLOCK = 2**15


def inverse_document_frequency(
    tokens: Sequence[tuple[np.ndarray, np.ndarray]], vocabulary: int
) -> np.ndarray:
    """Return ln((1 + N) / (1 + df)) + 1 for every token (float32, V); df counts documents, not occurrences."""
    document_frequency, documents = np.zeros(vocabulary, dtype=np.int64), 0
    for flat, offsets in tokens:
        for first in range(0, len(offsets) - 1, BLOCK):
            its = np.asarray(offsets[first : first + BLOCK + 1])
            document = np.repeat(np.arange(len(its) - 1, dtype=np.int64), np.diff(its))
            distinct = np.unique(document * vocabulary + flat[its[0] : its[-1]])
            document_frequency += np.bincount(distinct % vocabulary, minlength=vocabulary)
        documents += len(offsets) - 1
    return (np.log((1 + documents) / (1 + document_frequency)) + 1).astype(np.float32)
