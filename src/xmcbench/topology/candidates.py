"""What a growth rule sees of the connections that could be made.

Shapes: R rows (labels, or groups of labels that share inputs), D features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Gives ∂loss/∂w of every connection of rows first … last−1, existing or not, as R×D.
Gradient = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Candidates:
    """A block of rows whose absent connections are ranked.

    first: the block's first row. rows: R. features: D. generator: source of random choices, a function of (seed, step).
    gradient: computes gradients a block of rows at a time, so that no L×D array exists; None where none was given.
    """

    first: int
    rows: int
    features: int
    generator: torch.Generator
    gradient: Gradient | None
