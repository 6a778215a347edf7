"""Which test documents a run's first prediction was right for: one bit each, so that runs can be compared in pairs.

Shapes: N scored documents.
"""

import base64
import zlib

import numpy as np


def pack(hit_N: np.ndarray) -> str:
    """Return the bits as text: `N:` and base64 of their compressed bytes."""
    packed = zlib.compress(np.packbits(hit_N.astype(bool)).tobytes(), 9)
    return f"{len(hit_N)}:{base64.b64encode(packed).decode('ascii')}"


def unpack(text: str) -> np.ndarray:
    """Return hit_N (bool); raises ValueError if the text is none of `pack`."""
    count, _, packed = text.partition(":")
    raw = zlib.decompress(base64.b64decode(packed, validate=True))
    bit_N = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
    if len(bit_N) < int(count):
        raise ValueError(f"{len(bit_N)} bits; {count} were announced")
    return bit_N[: int(count)].astype(bool)
