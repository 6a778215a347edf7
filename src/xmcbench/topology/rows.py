"""Choosing among the connections of rows: which go, and which come.

Shapes: R rows, K fan-in, D features.
"""

import torch
from torch import Tensor

#: Values of 16 bits; and scores that are counted at a time.
HALF, SORTED = 1 << 16, 1 << 24


def smallest(score_RK: Tensor, fraction: float, scope: str) -> Tensor:
    """Mark the connections of lowest score: a fraction of each row (`label`) or of all (`global`), rounded down.

    Ties go to the earlier connection.
    """
    if scope == "label":
        count = int(fraction * score_RK.shape[1])
        order = torch.sort(score_RK, dim=1, stable=True).indices[:, :count]
        return torch.zeros_like(score_RK, dtype=torch.bool).scatter_(1, order, True)
    count = int(fraction * score_RK.numel())
    if count == 0:
        return torch.zeros_like(score_RK, dtype=torch.bool)
    score = score_RK.reshape(-1).float()
    limit = nth_smallest(score, count)
    marked = score < limit
    equal = (score == limit).nonzero().flatten()
    marked[equal[: count - int(marked.sum())]] = True
    return marked.view_as(score_RK)


def nth_smallest(score: Tensor, n: int) -> Tensor:
    """Return the n-th smallest (from 1) of float32 scores, by two histograms: a sort of a layer takes 12 bytes a connection."""
    found = 0
    for part, kept in ((1, None), (0, 1)):
        counts = torch.zeros(HALF, dtype=torch.int64, device=score.device)
        for first in range(0, len(score), SORTED):
            # Bits of a float in the order of numbers, then as 0 … 2³² − 1; its upper half first, then the lower.
            bits = score[first : first + SORTED].view(torch.int32).to(torch.int64)
            bits = (bits ^ ((bits >> 31) & 0x7FFF_FFFF)) + (1 << 31)
            if kept is not None:
                bits = bits[bits >> 16 == found]
            counts += torch.bincount((bits >> 16) if part else (bits & (HALF - 1)), minlength=HALF)
        running = counts.cumsum(0)
        half = int(torch.searchsorted(running, n))
        n -= int(running[half - 1]) if half else 0
        found = half if part else (found << 16) + half
    bits_of = torch.tensor(found - (1 << 31), dtype=torch.int64)
    return (bits_of ^ ((bits_of >> 31) & 0x7FFF_FFFF)).to(torch.int32).view(torch.float32).to(score.device)


def best(score_RD: Tensor, count: int, generator: torch.Generator, ties: bool) -> Tensor:
    """Return the places of the `count` highest scores of each row, falling.

    ties: scores may be equal; then a draw decides, and not the order of the inputs.
    """
    if not ties:
        return score_RD.topk(count, dim=1).indices
    draw_RD = torch.rand(score_RD.shape, generator=generator, device=generator.device).to(score_RD.device)
    if len(score_RD) > 1:
        return _best_of(score_RD, draw_RD, count)
    # One row is a whole layer: what stands below the last score that is wanted need not be sorted.
    places = (score_RD[0] >= score_RD[0].topk(count).values[-1]).nonzero().flatten()
    return places[_best_of(score_RD[:, places], draw_RD[:, places], count)]


def _best_of(score_RD: Tensor, draw_RD: Tensor, count: int) -> Tensor:
    """Return the places of the highest scores of each row, falling; of equal ones those with the lower draws."""
    shuffled = draw_RD.argsort(dim=1, stable=True)
    order = torch.sort(score_RD.gather(1, shuffled), dim=1, descending=True, stable=True).indices[:, :count]
    return shuffled.gather(1, order)
