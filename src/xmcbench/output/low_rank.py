"""The dense bottleneck: W = U V with rank R; at R = K it holds as many weights as fixed fan-in K (paper §3.2).

Shapes: R rank.
"""

import math

import torch
from torch import Tensor, nn

from xmcbench.output.layer import OutputLayer, required, uniform
from xmcbench.recipe import Output


class LowRank(OutputLayer):
    """z = (x Vᵀ) Uᵀ + b with down_RD and up_LR; L·R + R·D weights, no index."""

    reads = frozenset({"rank"})

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        rank = required(recipe.rank, "output.rank", recipe.kind)
        self.up_LR = uniform((labels, rank), recipe.initial_range, generator)
        # Keeps the variance of the features: Var(U(±a)) = a²/3, so a = √(3/D).
        self.down_RD = uniform((rank, features), math.sqrt(3 / features), generator)
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    def forward(self, x_BD: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.linear(x_BD, self.down_RD), self.up_LR, self.bias_L)


LAYER = LowRank
