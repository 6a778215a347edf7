"""Block tensor train: W is a product of two block-diagonal matrices around a transposition (Qiu et al., ICML 2024).

No index at all, and r·(D·n₀ + m₁·L) weights with D = m₀·m₁ and L ≤ n₀·n₁; rank 1 is a Monarch matrix (Dao et al. 2022).
Labels of one block of n₁ share what the first core computes, so alike labels should stand side by side
(`output.label_order`). Shapes: B documents, D features, L labels, R rank; m₀, m₁, n₀, n₁ as a, b, c, d in names.
"""

import math

import torch
from torch import Tensor, nn

from xmcbench.output.layer import OutputLayer, required
from xmcbench.recipe import Output


def even_factors(size: int) -> tuple[int, int]:
    """Return (small, large) with small·large = size, as even as its divisors allow."""
    small = next(n for n in range(math.isqrt(size), 0, -1) if size % n == 0)
    return small, size // small


class BlockTensorTrain(OutputLayer):
    """first_bax: m₁ products of m₀ features into n₀·R numbers; last_cyd: n₀ products of those into n₁ labels each."""

    reads = frozenset({"rank"})

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.rank = required(recipe.rank, "output.rank", recipe.kind)
        self.inner, self.blocks_in = even_factors(features)
        # Labels are padded, not factored: a prime L would make one block of all.
        self.blocks_out = max(1, math.isqrt(labels))
        self.block = -(-labels // self.blocks_out)
        out, fan_in = self.rank * self.blocks_out, self.inner
        # The paper's rule keeps the scale of features for any shape of core; a last core of zeros starts as no layer.
        deviation = math.sqrt(1 / fan_in) * min(1.0, math.sqrt(out / fan_in))
        first = torch.randn(self.blocks_in, self.inner, out, generator=generator) * deviation
        self.first_bax = nn.Parameter(first)
        self.last_cyd = nn.Parameter(torch.zeros(self.blocks_out, self.rank * self.blocks_in, self.block))
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    def forward(self, x_BD: Tensor) -> Tensor:
        self.require_features(x_BD)
        batch = len(x_BD)
        x_bBa = x_BD.reshape(batch, self.blocks_in, self.inner).transpose(0, 1)
        y_bBcR = torch.bmm(x_bBa, self.first_bax).view(self.blocks_in, batch, self.blocks_out, self.rank)
        y_cBy = y_bBcR.permute(2, 1, 0, 3).reshape(self.blocks_out, batch, -1)
        z_Bcd = torch.bmm(y_cBy, self.last_cyd).transpose(0, 1)
        return z_Bcd.reshape(batch, -1)[:, : self.labels] + self.bias_L

    def learning_rate_factors(self) -> dict[str, float]:
        """Adam moves each core as it would the dense matrix: by D over the core's own fan-in, halved as there are two."""
        return {
            "first_bax": self.features / self.inner / 2,
            "last_cyd": self.features / (self.rank * self.blocks_in) / 2,
        }

    def effective_parameters(self) -> int:
        """Count the weights that a label reads, biases included; the padding of the last block is not among them."""
        padding = self.blocks_out * self.block - self.labels
        return super().effective_parameters() - padding * self.last_cyd.shape[1]

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        if batch:
            # What the first core computed, before and after its transposition, and the scores before the bias.
            between = batch * self.rank * self.blocks_in * self.blocks_out
            kinds["scratch"] = (2 * between + batch * self.blocks_out * self.block) * 4
        return kinds


LAYER = BlockTensorTrain
