"""Inverse document frequency of tokens."""

from collections.abc import Sequence

import numpy as np


def inverse_document_frequency(
    tokens: Sequence[tuple[np.ndarray, np.ndarray]], vocabulary: int
) -> np.ndarray:
    """Return ln((1 + N) / (1 + df)) + 1 for every token (float32, V); df counts documents, not occurrences."""
    document_frequency, documents = np.zeros(vocabulary, dtype=np.int64), 0
    for flat, offsets in tokens:
        document = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        distinct = np.unique(document.astype(np.int64) * vocabulary + flat)
        document_frequency += np.bincount(distinct % vocabulary, minlength=vocabulary)
        documents += len(offsets) - 1
    return (np.log((1 + documents) / (1 + document_frequency)) + 1).astype(np.float32)
