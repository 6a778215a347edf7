"""Random regrowth: any absent input of the label is as good as any other (SET; Mocanu et al. 2018)."""

import torch
from torch import Tensor

from xmcbench.topology.candidates import Candidates

#: Draws do not tie, but by chance.
TIES = False


def scores(candidates: Candidates) -> Tensor:
    """Return a growth score in [0, 1) for every connection of a block of rows (R×D); the highest are grown."""
    shape, generator = (candidates.rows, candidates.features), candidates.generator
    return torch.rand(shape, generator=generator, device=generator.device)
