"""Losses that sum over outputs and divide by the batch. The loss tensor is never formed, only its gradient.

Shapes: B documents, L labels, P positive pairs.
"""

import torch
from torch import Tensor

from xmcbench.positives import Positives


class SquaredHinge:
    """ℓ = (1/B) Σ max(0, 1 − (2y−1)·z)² (paper §2.2): an easy negative, z ≤ −1, has exactly zero gradient."""

    name = "squared_hinge"

    def value_and_gradient(self, z_BL: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
        """Return the loss and ∂ℓ/∂z_BL, as if all were negative, then corrected at the P positives."""
        margin_BL = (z_BL + 1).clamp_(min=0)
        pair = (positives.row_P, positives.label_P)
        negative_P = margin_BL[pair]
        positive_P = (1 - z_BL[pair]).clamp_(min=0)
        value = (
            torch.linalg.vector_norm(margin_BL).square() + (positive_P.square() - negative_P.square()).sum()
        )
        gradient_BL = margin_BL.mul_(2 / positives.documents)
        gradient_BL[pair] = positive_P * (-2 / positives.documents)
        return value / positives.documents, gradient_BL


class BinaryCrossEntropy:
    """ℓ = (1/B) [Σ softplus(z) − Σ_positives z]; the gradient is σ(z) − y (Renee's skip-loss form)."""

    name = "bce"

    def value_and_gradient(self, z_BL: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
        """Return the loss and ∂ℓ/∂z_BL."""
        pair = (positives.row_P, positives.label_P)
        value = torch.nn.functional.softplus(z_BL).sum() - z_BL[pair].sum()
        gradient_BL = torch.sigmoid(z_BL).div_(positives.documents)
        gradient_BL[pair] -= 1 / positives.documents
        return value / positives.documents, gradient_BL


LOSSES: dict[str, type[SquaredHinge] | type[BinaryCrossEntropy]] = {
    "squared_hinge": SquaredHinge,
    "bce": BinaryCrossEntropy,
}
