"""Distinct random inputs for every label. Sampling with replacement would waste 8 % of a fan-in of 128 of 768."""

import torch
from torch import Tensor

#: Rows drawn at a time: the L×D draw exists only a block at a time.
BLOCK = 4096


def distinct_inputs(labels: int, features: int, fan_in: int, generator: torch.Generator) -> Tensor:
    """Return index_LK (int64): K distinct inputs of D for each of L labels, rising within a row; on the generator's device."""
    index_LK = torch.empty(labels, fan_in, dtype=torch.int64, device=generator.device)
    for start in range(0, labels, BLOCK):
        rows = min(BLOCK, labels - start)
        draw = torch.rand(rows, features, generator=generator, device=generator.device)
        index_LK[start : start + rows] = draw.topk(fan_in, dim=1).indices.sort(dim=1).values
    return index_LK


def unfit_row(index_HK: Tensor, features: int) -> int | None:
    """Return the first row whose inputs are not distinct, rising and among 0 … D−1, or None; a block of rows at a time."""
    for start in range(0, len(index_HK), BLOCK):
        rows = index_HK[start : start + BLOCK].to(torch.int64)
        fit = (rows.diff(dim=1) > 0).all(dim=1) & (rows[:, 0] >= 0) & (rows[:, -1] < features)
        if not bool(fit.all()):
            return start + int(fit.int().argmin())
    return None
