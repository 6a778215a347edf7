"""Random regrowth: any absent input of the label is as good as any other (SET; Mocanu et al. 2018)."""

import torch
from torch import Tensor


def scores(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """Return a growth score in [0, 1) for every candidate connection of a block of rows; the highest are grown."""
    return torch.rand(rows, features, generator=generator)
