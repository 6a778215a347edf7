"""The host's side of the dense chunk's update.

Shapes: as in `operators`. Tensors lie on one CUDA device, or on the CPU under TRITON_INTERPRET=1.
"""

import torch
from torch import Tensor

from xmcbench.kernels.triton import dense_chunk, shapes
from xmcbench.kernels.triton.launch import bits, is_narrow, rule_numbers, run
from xmcbench.kernels.update import RULES, Update


def dense_update(
    x_BD: Tensor,
    grad_z_Bl: Tensor,
    weight_lD: Tensor,
    update: Update,
    sound: Tensor,
    first_label: int,
    key: int,
) -> None:
    """Update a chunk of dense weights by grad_zᵀ·x, in place; the update's moments are those of the whole layer.

    sound: one bool; if it is false nothing is written. first_label: of the chunk."""
    (documents, features), labels = x_BD.shape, grad_z_Bl.shape[1]
    size = shapes.dense_blocks(features, weight_lD.dtype == torch.bfloat16)
    rows = slice(first_label, first_label + labels)
    run(
        dense_chunk.dense_update,
        (-(-labels // size.labels) * -(-features // size.slots),),
        size,
        x_BD.device,
        x_ptr=x_BD,
        grad_z_ptr=grad_z_Bl,
        weight_ptr=bits(weight_lD),
        first_ptr=None if update.first is None else update.first[rows],
        second_ptr=None if update.second is None else update.second[rows],
        sound_ptr=sound,
        first_label=first_label,
        labels=labels,
        documents=documents,
        features=features,
        numbers=rule_numbers(update),
        key=key,
        RULE=RULES.index(update.rule),
        BF16=weight_lD.dtype == torch.bfloat16,
        NARROW=is_narrow(weight_lD),
        BLOCK_L=size.labels,
        BLOCK_D=size.slots,
        BLOCK_B=size.documents,
    )
