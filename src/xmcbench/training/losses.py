"""Losses that sum over outputs and divide by the batch. The loss tensor is never formed, only its gradient.

Shapes: B documents, L labels, P positive pairs.
"""

import torch
from torch import Tensor

from xmcbench.kernels.blocks import CHUNK_BYTES
from xmcbench.positives import Positives

#: Of the loss on a CPU, within a core's cache. One document at a time is as small a call as 1,024 labels are: at 7,203 of them,
#: 1,024 a chunk, the chunked dense step took 61 ms so and takes 44; with four times as many bytes it takes 45.
CACHE_BYTES = 2**18


def documents_at_a_time(z_BL: Tensor) -> int:
    """Return of how many documents the loss may exist at a time: on a CPU as many as `CACHE_BYTES` hold, at least one.

    On a GPU each of these steps is a launch, some 10 µs of the host's, so it takes as many as `CHUNK_BYTES` hold.
    """
    room = CHUNK_BYTES if z_BL.is_cuda else CACHE_BYTES
    return max(1, room // max(1, z_BL.shape[1] * z_BL.element_size()))


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
        """Return the loss, and ∂ℓ/∂z_BL where the scores were; the loss of a few documents' labels exists at a time."""
        pair = (positives.row_P, positives.label_P)
        terms = [
            torch.nn.functional.softplus(z_bL).sum() for z_bL in torch.split(z_BL, documents_at_a_time(z_BL))
        ]
        value = torch.stack(terms).sum() - z_BL[pair].sum()
        gradient_BL = z_BL.sigmoid_().div_(positives.documents)
        gradient_BL[pair] -= 1 / positives.documents
        return value / positives.documents, gradient_BL


LOSSES: dict[str, type[SquaredHinge] | type[BinaryCrossEntropy]] = {
    "squared_hinge": SquaredHinge,
    "bce": BinaryCrossEntropy,
}
