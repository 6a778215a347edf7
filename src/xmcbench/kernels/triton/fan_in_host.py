"""The host's side of scores, their backward pass and the training step.

Shapes: as in `operators`. Tensors lie on one CUDA device, or on the CPU under TRITON_INTERPRET=1.
"""

from typing import Any

import torch
from torch import Tensor

from xmcbench.kernels.triton import by_input, fan_in, group, shapes
from xmcbench.kernels.triton.launch import bits, check, is_narrow, run
from xmcbench.kernels.triton.loss import GIVEN
from xmcbench.kernels.triton.update import KEEP


def forward(x_DB: Tensor, weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor, labels_a_row: int) -> Tensor:
    """Return z_LB."""
    check(x_DB)
    (labels, K), documents = weight_LK.shape, x_DB.shape[1]
    z_LB = x_DB.new_empty(labels, documents)
    arguments: dict[str, Any] = {
        "x_ptr": x_DB,
        "weight_ptr": bits(weight_LK),
        "index_ptr": index_HK,
        "bias_ptr": bias_L,
        "z_ptr": z_LB,
        "labels": labels,
        "documents": documents,
        "K": K,
        "GROUP": labels_a_row,
        "BF16": weight_LK.dtype == torch.bfloat16,
    }
    if labels_a_row < shapes.ENOUGH_LABELS:
        size = shapes.forward_blocks(labels, K, documents)
        programs, kernel = -(-labels // size.labels), fan_in.forward
        arguments["LABELS"] = size.labels
    else:
        size = shapes.group_blocks(K, documents, labels_a_row)
        programs, kernel = len(index_HK) * -(-labels_a_row // size.labels), group.group_forward
        arguments |= {"BLOCK_G": size.labels, "NARROW": is_narrow(weight_LK)}
    arguments |= {"BLOCK_K": size.slots, "BLOCK_B": size.documents}
    run(kernel, (programs, -(-documents // size.documents)), size, x_DB.device, **arguments)
    return z_LB


def backward(
    grad_z_LB: Tensor, x_DB: Tensor, weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor, labels_a_row: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients by x_DB, weight_LK (float32) and bias_L."""
    grad_x_DB = torch.zeros_like(x_DB)
    grad_weight_LK = torch.empty(weight_LK.shape, dtype=torch.float32, device=x_DB.device)
    grad_bias_L = torch.empty_like(bias_L)
    none = (0.0,) * 8
    _pass_over_labels(
        x_DB,
        weight_LK,
        index_HK,
        bias_L,
        labels_a_row,
        (grad_weight_LK, None, grad_bias_L, None),
        grad_x_DB,
        given_LB=grad_z_LB,
        loss=GIVEN.value,
        rule=KEEP.value,
        numbers=none,
        bias_numbers=none,
    )
    return grad_x_DB, grad_weight_LK, grad_bias_L


def train_step(
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    labels_a_row: int,
    moments: tuple[Tensor | None, ...],
    label_P: Tensor,
    row_P: Tensor,
    label_weight_L: Tensor | None,
    loss: int,
    scale: float,
    rule: int,
    numbers: list[float],
    key: int,
) -> tuple[Tensor, Tensor]:
    """Take the fused step; arguments as those of the operator in `operators`.

    Returns grad_x_DB and four float64 numbers (loss, zero gradients, labels skipped, first bad label or −1), on the device.
    """
    rate, decay, bias_rate, bias_decay, momentum, beta1, beta2, epsilon, correction1, correction2 = numbers
    rest = (momentum, beta1, beta2, epsilon, 1 / correction1, correction2**-0.5)
    device, documents = x_DB.device, x_DB.shape[1]
    grad_x_DB = torch.zeros_like(x_DB)
    everyone = torch.arange(len(bias_L) + 1, dtype=torch.int32, device=device)
    found = _pass_over_labels(
        x_DB,
        weight_LK,
        index_HK,
        bias_L,
        labels_a_row,
        moments,
        grad_x_DB,
        offset_L1=torch.searchsorted(label_P.to(torch.int32), everyone, out_int32=True),
        row_P=row_P if len(row_P) else row_P.new_zeros(1),
        label_weight_L=label_weight_L,
        largest=x_DB.abs().amax(),
        loss=loss,
        scale=scale / documents,
        rule=rule,
        numbers=tuple(map(float, (rate, 1 - rate * decay, *rest))),
        bias_numbers=tuple(map(float, (bias_rate, 1 - bias_rate * bias_decay, *rest))),
        key=key,
    )
    value = torch.cat([terms for terms, _ in found]).double().sum() / documents
    counts = torch.cat([count for _, count in found])
    bad = counts[:, 2].amin().double()
    bad = torch.where(bad == (1 << 31) - 1, -1.0, bad)
    return grad_x_DB, torch.stack([value, counts[:, 0].sum().double(), counts[:, 1].sum().double(), bad])


def _pass_over_labels(
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    labels_a_row: int,
    moments: tuple[Tensor | None, ...],
    grad_x_DB: Tensor,
    *,
    loss: int,
    rule: int,
    numbers: tuple[float, ...],
    bias_numbers: tuple[float, ...],
    offset_L1: Tensor | None = None,
    row_P: Tensor | None = None,
    label_weight_L: Tensor | None = None,
    largest: Tensor | None = None,
    given_LB: Tensor | None = None,
    scale: float = 1.0,
    key: int = 0,
) -> list[tuple[Tensor, Tensor]]:
    """Run `fan_in.step` or `group.group_step` over all labels; return each launch's losses and counts by program."""
    check(x_DB)
    (labels, K), documents, device = weight_LK.shape, x_DB.shape[1], x_DB.device
    narrow, by_products = weight_LK.dtype == torch.bfloat16, labels_a_row >= shapes.ENOUGH_LABELS
    atomic = by_input.feature_gradient_way() == "atomic"
    weight = bits(weight_LK)
    if by_products:
        size = shapes.group_blocks(K, documents, labels_a_row)
        arguments: dict[str, Any] = {"NARROW": is_narrow(weight_LK), "BLOCK_G": size.labels}
    else:
        size = shapes.fan_in_blocks(labels, K, documents)
        arguments = {"LABELS": size.labels}
    chunk = -(-labels // labels_a_row) * labels_a_row
    writes = given_LB is None and (by_products or not atomic)
    if writes or not atomic:
        chunk = shapes.chunk_labels(documents, labels_a_row, 0 if atomic else K)
    gradient_lB = None
    if writes:
        gradient_lB = x_DB.new_empty(min(chunk, labels), documents)
    arguments |= {
        "x_ptr": x_DB,
        "weight_ptr": weight,
        "index_ptr": index_HK,
        "bias_ptr": bias_L,
        "first_ptr": moments[0],
        "second_ptr": moments[1],
        "bias_first_ptr": moments[2],
        "bias_second_ptr": moments[3],
        "offset_ptr": offset_L1,
        "row_ptr": row_P,
        "label_weight_ptr": label_weight_L,
        "largest_ptr": largest,
        "grad_x_ptr": grad_x_DB,
        "documents": documents,
        "scale": float(scale),
        "numbers": numbers,
        "bias_numbers": bias_numbers,
        "key": key,
        "K": K,
        "GROUP": labels_a_row,
        "LOSS": loss,
        "RULE": rule,
        "BF16": narrow,
        "ATOMIC": atomic,
        "BLOCK_K": size.slots,
        "BLOCK_B": size.documents,
    }
    found = []
    for first in range(0, labels, chunk):
        last = min(first + chunk, labels)
        if by_products:
            programs = -(-(last - first) // labels_a_row) * -(-labels_a_row // size.labels)
        else:
            programs = -(-(last - first) // size.labels)
        losses = torch.empty(programs, dtype=torch.float32, device=device)
        counts = torch.empty(programs, 3, dtype=torch.int32, device=device)
        gradient = gradient_lB if given_LB is None else given_LB[first:last]
        # The pass by input needs the weights of before the step: 2·K numbers a label beside B of them.
        old = weight[first:last].clone() if not atomic and rule != KEEP.value else weight[first:last]
        run(
            group.group_step if by_products else fan_in.step,
            (programs,),
            size,
            device,
            **arguments,
            grad_z_ptr=gradient,
            loss_ptr=losses,
            count_ptr=counts,
            first_label=first,
            last_label=last,
        )
        if not atomic:
            assert gradient is not None
            rows = index_HK[first // labels_a_row : -(-last // labels_a_row)]
            _add_by_input(rows, old, gradient, grad_x_DB, last - first, labels_a_row, narrow)
        found.append((losses, counts))
    return found


def _add_by_input(
    index_hK: Tensor,
    weight_lK: Tensor,
    grad_z_lB: Tensor,
    grad_x_DB: Tensor,
    labels: int,
    labels_a_row: int,
    narrow: bool,
) -> None:
    features, documents = grad_x_DB.shape
    # Narrow keys are sorted in half as many passes.
    keys = index_hK.flatten().to(torch.int16 if features < (1 << 15) - 1 else torch.int32)
    keys, order = torch.sort(keys, stable=True)
    inputs = torch.arange(features + 1, dtype=keys.dtype, device=keys.device)
    size = shapes.BY_INPUT
    wide = min(size.documents, max(16, shapes.power_of_two(documents)))
    run(
        by_input.by_input,
        (features, -(-documents // wide)),
        size,
        grad_x_DB.device,
        order_ptr=order,
        offset_ptr=torch.searchsorted(keys, inputs, out_int32=True),
        weight_ptr=weight_lK,
        grad_z_ptr=grad_z_lB,
        grad_x_ptr=grad_x_DB,
        labels=labels,
        documents=documents,
        K=index_hK.shape[1],
        GROUP=labels_a_row,
        BF16=narrow,
        BLOCK_C=size.slots,
        BLOCK_B=wide,
    )
