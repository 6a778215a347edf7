"""SVD training: a low-rank layer kept in the form of its own singular value decomposition, whose rank training chooses.

After Yang et al. (CVPR-W 2020): W = N diag(|σ|) C with N and C held near orthonormal and σ driven towards few large values;
at a share of training the smallest σ go for good, weights and moments with them. Shapes: B documents, D features, L labels,
R rank.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from xmcbench.output.layer import OutputLayer, required
from xmcbench.recipe import Output, Svd


class LowRankSvd(OutputLayer):
    """z = (x (√|σ| C)ᵀ) (√|σ| N)ᵀ + b with left_LR, sigma_R, right_RD; no index."""

    reads = frozenset({"rank", "svd"})

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        rank = min(required(recipe.rank, "output.rank", recipe.kind), features, labels)
        self.svd = recipe.svd or Svd()
        left_LR, right_DR = torch.empty(labels, rank), torch.empty(features, rank)
        nn.init.orthogonal_(left_LR, generator=generator)
        nn.init.orthogonal_(right_DR, generator=generator)
        self.left_LR, self.right_RD = nn.Parameter(left_LR), nn.Parameter(right_DR.t().contiguous())
        # The Frobenius norm of a dense layer whose weights are uniform in ± initial_range.
        norm = recipe.initial_range / math.sqrt(3) * math.sqrt(labels * features)
        self.sigma_R = nn.Parameter(torch.full((rank,), norm / math.sqrt(rank)))
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    def forward(self, x_BD: Tensor) -> Tensor:
        self.require_features(x_BD)
        root_R = self.sigma_R.abs().sqrt()
        read_BR = nn.functional.linear(x_BD, self.right_RD * root_R[:, None])
        return nn.functional.linear(read_BR * root_R, self.left_LR, self.bias_L)

    def regularisation(self) -> Tensor:
        """Return λ_o (‖NᵀN − I‖² + ‖CCᵀ − I‖²) / R² + λ_s (‖σ‖₁ / ‖σ‖₂ − 1)."""
        rank = len(self.sigma_R)
        one_RR = torch.eye(rank, device=self.sigma_R.device)
        away = (self.left_LR.t() @ self.left_LR - one_RR).square().sum()
        away = away + (self.right_RD @ self.right_RD.t() - one_RR).square().sum()
        hoyer = self.sigma_R.abs().sum() / self.sigma_R.norm().clamp(min=1e-12) - 1
        total: Tensor = self.svd.orthogonality * away / rank**2 + self.svd.sparsity * hoyer
        return total

    @torch.no_grad()
    def after_step(self, step: int, total: int, optimizer: torch.optim.Optimizer) -> None:
        """Once, after `cut_share` of the steps, keep the fewest σ that hold `energy` of Σσ²."""
        if step != max(1, int(self.svd.cut_share * total)):
            return
        square_R = self.sigma_R.square()
        order_R = torch.sort(square_R, descending=True, stable=True).indices
        held_R = square_R[order_R].cumsum(0) / square_R.sum().clamp(min=1e-30)
        count = min(int((held_R < self.svd.energy).sum()) + 1, len(order_R))
        kept = order_R[:count].sort().values
        for parameter, dimension in ((self.left_LR, 1), (self.sigma_R, 0), (self.right_RD, 0)):
            before = parameter.shape
            parameter.data = parameter.data.index_select(dimension, kept)
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and value.shape == before:
                    optimizer.state[parameter][name] = value.index_select(dimension, kept)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take a state whose rank was cut already."""
        for name in ("left_LR", "sigma_R", "right_RD"):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                parameter = getattr(self, name)
                parameter.data = parameter.data.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        if batch:
            # The backward pass of the Gram matrix makes three more arrays of N's size.
            features = self.right_RD.numel() + 2 * batch * len(self.sigma_R)
            kinds["scratch"] = (3 * self.left_LR.numel() + features) * 4
        return kinds


LAYER = LowRankSvd
