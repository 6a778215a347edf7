"""Seeds by purpose: one number for each use, so that adding a draw somewhere never shifts the draws elsewhere."""

import hashlib


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """Return a 63-bit seed that is a pure function of (run seed, purpose, step).

    Random states of a run are functions of its position, so the position is all that a checkpoint must keep.
    """
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
