"""How often labels occur: a Zipf head over a tail of rare labels, made to meet three published numbers exactly.

Labels by falling frequency r = 1 … L. The tail (labels with at most 5 documents) holds the declared share of labels,
its counts weighted by 1/n; the head follows Zipf and Mandelbrot, f(r) = 5.5 · ((H + 1 + q) / (r + q))^s, so that it ends
where the tail begins. s is solved for the number of pairs; q > 0 only where the first label would pass its bound.
"""

import numpy as np

from xmcbench.errors import ConfigError

#: A label is in the tail if it has at most this many training documents.
TAIL = 5
#: Tail share where none is declared: no public table has it, and those of the embedded sets are 0.82 … 0.92.
USUAL = 0.8
#: No label is on more than this share of documents, unless labels are on half as many on average.
MOST = 0.4
STEEPEST = 64.0


def label_counts(documents: int, pairs: int, labels: int, tail_share: float) -> np.ndarray:
    """Return the training documents of each label (int64, L, falling); they add up to `pairs`.

    Every label has at least one. If there are fewer pairs than labels, as many labels as there are pairs have one
    document, the others none, and `tail_share` is ignored. Raises ConfigError if the tail cannot have that share.
    """
    if pairs < labels:
        return (np.arange(labels) < pairs).astype(np.int64)
    tail = int(np.ceil(tail_share * labels - 1e-9))
    heads, most, top = labels - tail, _most(documents, pairs / labels), min(TAIL, documents)
    usual = round(tail * top / float((1 / np.arange(1, top + 1)).sum()))
    in_head = min(max(pairs - usual, (TAIL + 1) * heads), most * heads)
    in_tail = pairs - in_head
    if not tail <= in_tail <= top * tail or (heads and most <= TAIL):
        low, high = tail_share_bounds(documents, pairs, labels)
        raise ConfigError(
            f"source.tail_share: {tail_share} of {labels} labels with {pairs / labels:.2f} training documents each; "
            f"allowed: about {low:.2f} … {high:.2f}"
        )
    return np.concatenate([_fit_head(heads, most, in_head), _fit_tail(tail, top, in_tail)])


def tail_share_bounds(documents: int, pairs: int, labels: int) -> tuple[float, float]:
    """Return the smallest and the largest share of tail labels that a mean count leaves possible."""
    mean = pairs / labels
    most = _most(documents, mean)
    if mean < 1 or most <= TAIL:
        return 1.0, 1.0
    low, high = (TAIL + 1 - mean) / TAIL, (most - mean) / (most - TAIL)
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))


def usual_tail_share(documents: int, pairs: int, labels: int) -> float:
    """Return the tail share of a data set that declares none: USUAL, or the nearest that a Zipf head leaves possible."""
    low, high = tail_share_bounds(documents, pairs, labels)
    mean = pairs / labels
    most = max(_most(documents, mean), TAIL + 1)
    # The fullest head falls geometrically from its bound to the tail.
    richest = (most - TAIL) / np.log(most / TAIL)
    fullest = (richest - mean) / (richest - TAIL) if richest > TAIL else high
    return float(np.clip(USUAL, low, max(low, min(high, fullest))))


def proportional_counts(counts_L: np.ndarray, pairs: int) -> np.ndarray:
    """Return counts (int64, L) that add up to `pairs` and are proportional to others, rounded along their running sum."""
    running = np.concatenate([[0], np.cumsum(counts_L)])
    return np.diff(running * pairs // max(1, int(running[-1])))


def _most(documents: int, mean: float) -> int:
    return min(documents, max(TAIL + 1, int(MOST * documents), int(2 * mean)))


def _head(heads: int, most: int, exponent: float) -> np.ndarray:
    """Return the rounded Zipf–Mandelbrot counts of the head."""
    rank, edge = np.arange(1, heads + 1), TAIL + 0.5
    ratio = (max(most, TAIL + 1) / edge) ** (1 / max(exponent, 1e-9)) if exponent > 1e-2 else np.inf
    shift = 0.0 if ratio >= heads + 1 else (heads + 1 - ratio) / (ratio - 1)
    counts = edge * ((heads + 1 + shift) / (rank + shift)) ** exponent
    return np.clip(np.rint(counts), TAIL + 1, max(most, TAIL + 1)).astype(np.int64)


def _fit_head(heads: int, most: int, pairs: int) -> np.ndarray:
    low, high = 0.0, STEEPEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if int(_head(heads, most, middle).sum()) < pairs else (low, middle)
    return _adjusted(_head(heads, most, high), pairs, TAIL + 1, most)


def _fit_tail(tail: int, top: int, pairs: int) -> np.ndarray:
    value, low, high = np.arange(1, top + 1), -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        weight = np.exp(-middle * np.log(value))
        too_many = float((weight * value).sum() / weight.sum()) * tail > pairs
        low, high = (middle, high) if too_many else (low, middle)
    weight = np.exp(-high * np.log(value))
    end = np.rint(np.cumsum(weight / weight.sum()) * tail).astype(np.int64)
    counts = np.repeat(value, np.diff(end, prepend=0))
    return _adjusted(counts[::-1], pairs, 1, top)


def _adjusted(counts: np.ndarray, pairs: int, lowest: int, highest: int) -> np.ndarray:
    """Move rounded counts by single steps until they add up; falling."""
    counts = counts.astype(np.int64)
    while (missing := pairs - int(counts.sum())) != 0:
        free = np.flatnonzero(counts < highest if missing > 0 else counts > lowest)
        counts[free[: abs(missing)]] += np.sign(missing)
    return np.sort(counts)[::-1]
