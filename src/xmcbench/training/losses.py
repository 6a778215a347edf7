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
        """Return the loss and ∂ℓ/∂z_BL; the scores stay."""
        return self.in_place(z_BL.clone(), positives)

    def in_place(self, z_BL: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
        """Return the loss, and ∂ℓ/∂z_BL where the scores were: as if all were negative, then corrected at P pairs."""
        pair = (positives.row_P, positives.label_P)
        positive_P = (1 - z_BL[pair]).clamp_(min=0)
        margin_BL = z_BL.add_(1).clamp_(min=0)
        negative_P = margin_BL[pair]
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
        """Return the loss and ∂ℓ/∂z_BL; the scores stay."""
        return self.in_place(z_BL.clone(), positives)

    def in_place(self, z_BL: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
        """Return the loss, and ∂ℓ/∂z_BL where the scores were; the loss of one document's labels exists at a time."""
        pair = (positives.row_P, positives.label_P)
        terms = [torch.nn.functional.softplus(z_L).sum() for z_L in z_BL]
        value = torch.stack(terms).sum() - z_BL[pair].sum()
        gradient_BL = z_BL.sigmoid_().div_(positives.documents)
        gradient_BL[pair] -= 1 / positives.documents
        return value / positives.documents, gradient_BL


LOSSES: dict[str, type[SquaredHinge] | type[BinaryCrossEntropy]] = {
    "squared_hinge": SquaredHinge,
    "bce": BinaryCrossEntropy,
}
