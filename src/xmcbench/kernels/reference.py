"""The truth: each operation as plainly as torch can say it, in any floating dtype. Slow, and B×L×K large.

Every backend is tested against these functions, and benchmarks import them.

Shapes: B documents, D features, L labels, K fan-in, k predictions a document.
"""

from typing import Any

import torch
from torch import Tensor

from xmcbench.kernels.update import Update


def scores(x_BD: Tensor, weight_LK: Tensor, index_LK: Tensor, bias_L: Tensor) -> Tensor:
    """Return z_BL = b_l + Σ_j w_lj · x[i_lj] (paper §2.2)."""
    read_BLK = x_BD[:, index_LK.to(torch.int64)]
    return (read_BLK * weight_LK.to(x_BD.dtype)).sum(dim=-1) + bias_L


def loss_terms(z_BL: Tensor, y_BL: Tensor, loss: str) -> Tensor:
    """Return each output's loss: squared hinge max(0, 1 − (2y−1)·z)², or BCE softplus(z) − y·z."""
    if loss == "squared_hinge":
        return (1 - (2 * y_BL - 1) * z_BL).clamp(min=0).square()
    if loss == "bce":
        return torch.nn.functional.softplus(z_BL) - y_BL * z_BL
    raise ValueError(loss)


def train_step(
    x_BD: Tensor,
    weight_LK: Tensor,
    index_LK: Tensor,
    bias_L: Tensor,
    y_BL: Tensor,
    loss: str,
    weight_update: Update,
    bias_update: Update,
    scale: float = 1.0,
    label_weight_L: Tensor | None = None,
) -> dict[str, Any]:
    """Return what a step leaves: loss, grad_x_BD, zero_share; weights, bias and moments are updated in place."""
    x_BD = x_BD.detach().requires_grad_(True)
    weight = weight_LK.detach().clone().requires_grad_(True)
    bias = bias_L.detach().clone().requires_grad_(True)
    z_BL = scores(x_BD, weight, index_LK, bias)
    z_BL.retain_grad()
    terms_BL = loss_terms(z_BL, y_BL, loss)
    if label_weight_L is not None:
        terms_BL = terms_BL * label_weight_L
    value = terms_BL.sum() / x_BD.shape[0]
    (value * scale).backward()  # type: ignore[no-untyped-call]
    grads = [t.grad for t in (z_BL, x_BD, weight, bias)]
    grad_z_BL, grad_x_BD, grad_weight, grad_bias = (g for g in grads if g is not None)
    weight_update.apply(weight_LK, grad_weight)
    bias_update.apply(bias_L, grad_bias)
    zero_share = float((grad_z_BL == 0).double().mean())
    return {"loss": float(value.detach()), "grad_x_BD": grad_x_BD, "zero_share": zero_share}


def top_k(z_BL: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best scores of each document and their labels; ties go to the smaller label."""
    order = torch.sort(z_BL, dim=1, descending=True, stable=True)
    return order.values[:, :k], order.indices[:, :k]
