"""Choosing among the connections of rows: which go, and which come.

Shapes: R rows, K fan-in, D features.
"""

import torch
from torch import Tensor


def smallest(score_RK: Tensor, fraction: float, scope: str) -> Tensor:
    """Mark the connections of lowest score: a fraction of each row (`label`) or of all (`global`), rounded down.

    Ties go to the earlier connection.
    """
    if scope == "label":
        count = int(fraction * score_RK.shape[1])
        order = torch.sort(score_RK, dim=1, stable=True).indices[:, :count]
        return torch.zeros_like(score_RK, dtype=torch.bool).scatter_(1, order, True)
    count = int(fraction * score_RK.numel())
    order = torch.sort(score_RK.reshape(-1), stable=True).indices[:count]
    marked = torch.zeros(score_RK.numel(), dtype=torch.bool, device=score_RK.device)
    marked[order] = True
    return marked.view_as(score_RK)


def best(score_RD: Tensor, count: int, generator: torch.Generator, ties: bool) -> Tensor:
    """Return the places of the `count` highest scores of each row, falling.

    ties: scores may be equal; then a draw decides, and not the order of the inputs.
    """
    if not ties:
        return score_RD.topk(count, dim=1).indices
    shuffled = torch.rand(score_RD.shape, generator=generator).argsort(dim=1).to(score_RD.device)
    order = torch.sort(score_RD.gather(1, shuffled), dim=1, descending=True, stable=True).indices[:, :count]
    return shuffled.gather(1, order)
