"""The split rule: hash order decides, and every label keeps another document."""

import hashlib
from collections import Counter
from collections.abc import Sequence


def rank(identity: str, salt: str) -> int:
    """Return h(id): the first 8 bytes, big-endian, of SHA-256 of salt, a zero byte, and the id."""
    return int.from_bytes(hashlib.sha256(f"{salt}\0{identity}".encode()).digest()[:8], "big")


def hash_order(identities: Sequence[str], salt: str) -> list[int]:
    """Return positions in increasing h(id)."""
    return sorted(range(len(identities)), key=lambda i: rank(identities[i], salt))


def held_out(
    identities: Sequence[str], labels: Sequence[Sequence[str]], salt: str, share: float
) -> list[int]:
    """Return the rising positions of the documents to hold out.

    Documents are taken in increasing h(id); one is held out if every one of its labels still has another document
    that is not; it stops at round(share · N). Documents without labels can always go.
    """
    remaining = Counter(label for its in labels for label in its)
    wanted = round(share * len(identities))
    chosen: list[int] = []
    for position in hash_order(identities, salt):
        if len(chosen) == wanted:
            break
        if all(remaining[label] >= 2 for label in labels[position]):
            chosen.append(position)
            remaining.subtract(labels[position])
    return sorted(chosen)
