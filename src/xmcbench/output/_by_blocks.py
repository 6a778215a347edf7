"""The step of fixed fan-in by torch operations, a block of labels at a time: any device, floating dtype, loss and optimiser."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xmcbench.errors import NonFiniteError
from xmcbench.kernels import blocks
from xmcbench.kernels.blocks import Loss
from xmcbench.kernels.update import Update
from xmcbench.output.layer import StepResult
from xmcbench.positives import Positives

if TYPE_CHECKING:
    from xmcbench.output.fixed_fan_in import FixedFanIn

#: Labels taken at a time.
BLOCK = 16_384


def step_by_blocks(
    layer: "FixedFanIn",
    x_BD: Tensor,
    positives: Positives,
    loss: Loss,
    updates: tuple[Update, Update],
    scale: float,
    key: int,
) -> StepResult:
    """Take a step on a batch that was found sound; updates: of weights and bias, which may differ. key: of the rounding.

    Raises NonFiniteError at the first block with a bad gradient; blocks before it were updated.
    """
    x_DB = x_BD.t().contiguous()
    grad_x_DB = torch.zeros_like(x_DB)
    value, zeros = 0.0, 0
    generator = torch.Generator(x_BD.device).manual_seed(key)
    size = -(-BLOCK // layer.group) * layer.group
    for first in range(0, layer.labels, size):
        rows = slice(first, min(first + size, layer.labels))
        block = (layer.weight_LK[rows].to(x_DB.dtype), layer.inputs_of(rows), layer.bias_L[rows])
        z_LB = blocks.bag_scores(x_DB, *block)
        term, gradient_BL = loss.value_and_gradient(
            z_LB.t().contiguous(), blocks.block_positives(positives, rows.start, rows.stop)
        )
        value += float(term)
        zeros += gradient_BL.numel() - int(torch.count_nonzero(gradient_BL))
        grad_z_LB = gradient_BL.mul_(scale).t()
        of_x, of_weight, of_bias = blocks.bag_backward(grad_z_LB, x_DB, *block[:2])
        if not torch.isfinite(of_weight.sum() + of_bias.sum()):
            raise NonFiniteError(
                f"output layer: a gradient of labels {rows.start} … {rows.stop - 1} is not finite; "
                "they were left as they were"
            )
        grad_x_DB += of_x
        updates[0].apply(layer.weight_LK, of_weight, rows, generator)
        updates[1].apply(layer.bias_L, of_bias, rows)
    return StepResult(value, grad_x_DB.t(), zeros / (len(x_BD) * layer.labels))
