"""The dense layer whose loss tensor never exists: the gradient is written where the scores were (Renee, MLSys 2023).

One B×L array instead of two; weights, their gradient and moments stay dense. Shapes: B documents, D features, L labels.
"""

import torch
from torch import Tensor

from xmcbench.errors import NonFiniteError
from xmcbench.kernels.blocks import Loss
from xmcbench.output.dense import Dense
from xmcbench.output.layer import StepResult
from xmcbench.positives import Positives


class DenseSkipLoss(Dense):
    """z = x Wᵀ + b; its backward pass is written out, so that autograd keeps no scores."""

    @torch.no_grad()
    def train_step(
        self,
        x_BD: Tensor,
        positives: Positives,
        *,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        scale: float = 1.0,
    ) -> StepResult:
        self.require_features(x_BD)
        positives.require_within(len(x_BD), self.labels)
        x_BD = x_BD.detach()
        value, gradient_BL = loss.in_place(self(x_BD), positives)
        zero_share = 1.0 - int(torch.count_nonzero(gradient_BL)) / gradient_BL.numel()
        gradient_BL.mul_(scale)
        grad_x_BD = gradient_BL @ self.weight_LD
        self.weight_LD.grad, self.bias_L.grad = gradient_BL.t() @ x_BD, gradient_BL.sum(dim=0)
        if not torch.isfinite(self.weight_LD.grad.sum() + self.bias_L.grad.sum()):
            optimizer.zero_grad(set_to_none=True)
            raise NonFiniteError("output layer: the gradient of weight_LD is not finite; nothing was updated")
        del gradient_BL
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return StepResult(float(value), grad_x_BD, zero_share)

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        if batch:
            kinds["scores"] = batch * self.labels * self.weight_LD.element_size()
        return kinds


LAYER = DenseSkipLoss
