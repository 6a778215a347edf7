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
