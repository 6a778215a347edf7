"""Random numbers that are functions of their place: any document's numbers can be had without those before it."""

import numpy as np

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def counter_bits(seed: int, *counters: np.ndarray) -> np.ndarray:
    """Return 64 random bits (uint64) for each place; the counters broadcast.

    SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014), once for each counter.
    """
    state = np.full(1, seed % 2**64, dtype=np.uint64)
    for counter in counters:
        state = state + (np.asarray(counter).astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
        state = state ^ (state >> np.uint64(31))
    return state


def below(bits: np.ndarray, bound: int) -> np.ndarray:
    """Return integers (int64) in 0 … bound−1; the bias of the remainder is below bound / 2^64."""
    return (bits % np.uint64(bound)).astype(np.int64)


def unit(bits: np.ndarray) -> np.ndarray:
    """Return float64 in [0, 1), of the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
