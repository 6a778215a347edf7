"""The split rule: hash order decides, and every label keeps another document.

Shapes: N documents, L labels, P positive pairs.
"""

import hashlib
from collections.abc import Iterable

import numpy as np


def rank(identity: str, salt: str) -> int:
    """Return h(id): the first 8 bytes, big-endian, of SHA-256 of salt, a zero byte, and the id."""
    return int.from_bytes(hashlib.sha256(f"{salt}\0{identity}".encode()).digest()[:8], "big")


def hash_order(identities: Iterable[str], salt: str) -> np.ndarray:
    """Return positions (int64, N) in increasing h(id)."""
    ranks = np.fromiter((rank(identity, salt) for identity in identities), dtype=np.uint64)
    return np.argsort(ranks, kind="stable")


def held_out(
    identities: Iterable[str], indptr: np.ndarray, indices: np.ndarray, labels: int, salt: str, share: float
) -> np.ndarray:
    """Return which documents to hold out (bool, N).

    indptr (N+1) and indices (P): the labels of each document, distinct. Documents are taken in increasing h(id); one is
    held out if every one of its labels still has another document that is not; it stops at round(share · N). Documents
    without labels can always go.
    """
    documents = len(indptr) - 1
    out = np.zeros(documents, dtype=bool)
    wanted = round(share * documents)
    if wanted == 0:
        return out
    remaining = np.bincount(indices, minlength=labels)
    for position in hash_order(identities, salt):
        its = indices[indptr[position] : indptr[position + 1]]
        if (remaining[its] >= 2).all():
            out[position] = True
            remaining[its] -= 1
            wanted -= 1
            if wanted == 0:
                break
    return out
