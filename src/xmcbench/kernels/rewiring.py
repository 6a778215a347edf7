"""Rewiring of a fixed fan-in layer as a torch operator: plain torch, in place, for every device.

Shapes: L labels, K fan-in, H = ⌈L/G⌉ groups of G labels, which share a row of index_HK.
"""

import torch
from torch import Tensor

from xmcbench.kernels.blocks import rows_of_labels


@torch.library.custom_op("xmcbench::fixed_fan_in_rewire", mutates_args=("weight_LK", "index_HK", "moments"))
def rewire(
    weight_LK: Tensor,
    index_HK: Tensor,
    moments: list[Tensor],
    new_index_HK: Tensor,
    source_HK: Tensor,
    new_HK: Tensor,
    group: int,
) -> None:
    """Move to new inputs in place: slot j of a row takes what slot source_HK[·, j] held; where new_HK, it starts at zero.

    moments: of the optimiser, L×K each. new_index_HK, source_HK: int64. new_HK: bool.
    """
    index_HK.copy_(new_index_HK.to(index_HK.dtype))
    labels = len(weight_LK)
    source_LK, new_LK = (rows_of_labels(its, group, labels) for its in (source_HK, new_HK))
    for tensor_LK in [weight_LK, *moments]:
        tensor_LK.copy_(tensor_LK.gather(1, source_LK).masked_fill_(new_LK, 0))


@rewire.register_fake
def _(
    weight_LK: Tensor,
    index_HK: Tensor,
    moments: list[Tensor],
    new_index_HK: Tensor,
    source_HK: Tensor,
    new_HK: Tensor,
    group: int,
) -> None: ...
