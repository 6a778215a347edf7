"""The dense output layer: every label reads every feature. Weight, gradient and moments are L×D each."""

import torch
from torch import Tensor, nn

from xmcbench.output.layer import OutputLayer, uniform
from xmcbench.recipe import Output


class Dense(OutputLayer):
    """z = x Wᵀ + b with weight_LD."""

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.weight_LD = uniform((labels, features), recipe.initial_range, generator)
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    def forward(self, x_BD: Tensor) -> Tensor:
        return nn.functional.linear(x_BD, self.weight_LD, self.bias_L)


LAYER = Dense
