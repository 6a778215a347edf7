"""The auxiliary objective over label groups (paper §2.3): a dense head, in the loss only, faded out and dropped."""

import math

import torch
from torch import Tensor, nn

from xmcbench.positives import Positives
from xmcbench.prior import prior_bias
from xmcbench.recipe import Auxiliary
from xmcbench.seeds import derive


def fading_weight(weight: float, step: int, cutoff_step: int) -> float:
    """Return λ at optimiser step `step` (from 0): λ₀·½(1 + cos(π·step/cut-off)), and 0 from the cut-off on."""
    if step >= cutoff_step:
        return 0.0
    return weight * 0.5 * (1 + math.cos(math.pi * step / cutoff_step))


class AuxiliaryHead(nn.Module):
    """Scores of the label groups from the encoder's features; BCE on multi-hot groups, summed, over the batch.

    Sum over outputs, divided by B, is the main loss's own scale, so that λ weighs like against like.
    """

    def __init__(
        self,
        features: int,
        group_L: Tensor,
        seed: int,
        reduction: str = "sum",
        expected_groups: float | None = None,
    ) -> None:
        super().__init__()
        self.reduction = reduction
        groups = int(group_L.max()) + 1
        self.group_L: Tensor
        self.register_buffer("group_L", group_L.to(torch.int64), persistent=False)
        self.linear = nn.Linear(features, groups)
        bias = 0.0 if expected_groups is None else prior_bias(expected_groups, groups)
        generator = torch.Generator().manual_seed(derive(seed, "auxiliary"))
        with torch.no_grad():
            self.linear.weight.copy_(
                (torch.rand(groups, features, generator=generator) * 2 - 1) / math.sqrt(features)
            )
            self.linear.bias.fill_(bias)

    def loss(self, x_BD: Tensor, positives: Positives) -> Tensor:
        """Return the auxiliary loss (differentiable scalar)."""
        z_BG = self.linear(x_BD)
        target_BG = positives.grouped(self.group_L).multi_hot(z_BG.shape[1], z_BG.dtype)
        total = nn.functional.binary_cross_entropy_with_logits(z_BG, target_BG, reduction="sum")
        return total / (z_BG.numel() if self.reduction == "mean" else positives.documents)


def cutoff_step(recipe: Auxiliary, steps_per_epoch: int) -> int:
    """Return the first step without the auxiliary objective."""
    return max(1, round(recipe.cutoff_epochs * steps_per_epoch))
