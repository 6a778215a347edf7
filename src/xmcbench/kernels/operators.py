"""The kernels as torch operators: `forward` with autograd and fake kernels, `train_step` in place without.

Shapes: B documents, D features, L labels, K fan-in, H = ⌈L/G⌉ groups of G labels, P positive pairs, k predictions a
document. Features come transposed (x_DB: one row a feature, documents side by side), since a label reads whole rows of
them. The G labels of a group are neighbours and share a row of index_HK, whose inputs are distinct; G = 1 (so H = L) is
fixed fan-in, larger G the group-shared form of HASTE (arXiv 2606.01117).
"""

from typing import Any

import torch
from torch import Tensor

from xmcbench.errors import KernelError, NonFiniteError
from xmcbench.kernels.blocks import UNSOUND, bag_backward, bag_scores, require_sound, rows_of_labels
from xmcbench.kernels.dispatch import choose, native
from xmcbench.kernels.update import RULES, Update
from xmcbench.positives import Positives

LOSSES = ("squared_hinge", "bce")
STEP = "xmcbench::fixed_fan_in_train_step"
#: In place of a label with a bad gradient: the CPU kernels refused the batch and updated nothing (cpu/fan_in.hpp).
BAD_FEATURES, BAD_PAIRS = -2, -3


@torch.library.custom_op("xmcbench::fixed_fan_in_scores", mutates_args=())
def scores(
    x_DB: Tensor, weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor, group: int, backend: str
) -> Tensor:
    """Return z_LB = b_l + Σ_j w_lj · x[i_gj], g = ⌊l/G⌋ the group of l; backend: a name of `dispatch.BACKENDS`."""
    runs = _runs(backend, x_DB, weight_LK)
    if runs == "triton":
        found: Tensor = gpu().forward(x_DB.contiguous(), *_whole(weight_LK, index_HK, bias_L), group)
        return found
    if runs == "cpu":
        z_LB = x_DB.new_empty(weight_LK.shape[0], x_DB.shape[1])
        module().forward(
            *_whole(weight_LK, index_HK, bias_L), group, x_DB.contiguous(), z_LB, torch.get_num_threads()
        )
        return z_LB
    return bag_scores(x_DB.contiguous(), weight_LK, rows_of_labels(index_HK, group, len(weight_LK)), bias_L)


@scores.register_fake
def _(x_DB: Tensor, weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor, group: int, backend: str) -> Tensor:
    return x_DB.new_empty(weight_LK.shape[0], x_DB.shape[1])


@torch.library.custom_op("xmcbench::fixed_fan_in_scores_backward", mutates_args=())
def scores_backward(
    grad_z_LB: Tensor,
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients by x_DB, weight_LK and bias_L."""
    runs = _runs(backend, x_DB, weight_LK)
    if runs == "triton":
        layer = _whole(weight_LK, index_HK, bias_L)
        grads = gpu().backward(grad_z_LB.contiguous(), x_DB.contiguous(), *layer, group)
        return grads[0], grads[1].to(weight_LK.dtype), grads[2].to(bias_L.dtype)
    if runs == "cpu":
        grad_x_DB = torch.empty_like(x_DB, memory_format=torch.contiguous_format)
        grad_weight_LK = torch.empty(weight_LK.shape, dtype=torch.float32)
        grad_bias_L = torch.empty(bias_L.shape, dtype=torch.float32)
        module().backward(
            *_whole(weight_LK, index_HK, bias_L),
            group,
            x_DB.contiguous(),
            grad_z_LB.contiguous(),
            grad_x_DB,
            grad_weight_LK,
            grad_bias_L,
            torch.get_num_threads(),
        )
        return grad_x_DB, grad_weight_LK.to(weight_LK.dtype), grad_bias_L.to(bias_L.dtype)
    return bag_backward(grad_z_LB, x_DB, weight_LK, rows_of_labels(index_HK, group, len(weight_LK)))


@scores_backward.register_fake
def _(
    grad_z_LB: Tensor,
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    contiguous = torch.contiguous_format
    return (
        torch.empty_like(x_DB, memory_format=contiguous),
        torch.empty_like(weight_LK, memory_format=contiguous),
        torch.empty_like(bias_L),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.group, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad_z_LB: Tensor) -> tuple[Any, ...]:
    x_DB, weight_LK, index_HK, bias_L = ctx.saved_tensors
    grads = scores_backward(grad_z_LB, x_DB, weight_LK, index_HK, bias_L, ctx.group, ctx.backend)
    return grads[0], grads[1], None, grads[2], None, None


scores.register_autograd(_differentiate, setup_context=_save)
for _device in ("cpu", "cuda"):
    scores.register_autocast(_device, torch.float32)


def _fused_step(
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    first_LK: Tensor | None,
    second_LK: Tensor | None,
    first_L: Tensor | None,
    second_L: Tensor | None,
    label_P: Tensor,
    row_P: Tensor,
    label_weight_L: Tensor | None,
    loss: int,
    scale: float,
    rule: int,
    numbers: list[float],
    key: int,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    if not moves_in_place(weight_LK, index_HK, bias_L):
        raise KernelError(
            "the fused step moves contiguous weights and a contiguous bias of float32, no others"
        )
    moments = (first_LK, second_LK, first_L, second_L)
    runs = choose(backend, weight_LK.device, weight_LK.dtype, x_DB.shape[1])
    if runs == "triton":
        positives = Positives(x_DB.shape[1], row_P, label_P)
        require_sound(x_DB, positives, len(weight_LK))
    torch.autograd.graph.increment_version([weight_LK, bias_L, *(m for m in moments if m is not None)])
    if runs == "triton":
        layer = (x_DB.float().contiguous(), weight_LK, index_HK, bias_L, group)
        result: tuple[Tensor, Tensor] = gpu().train_step(
            *layer, moments, *positives.by_label(), label_weight_L, loss, scale, rule, numbers, key
        )
        return result
    grad_x_DB = x_DB.new_empty(x_DB.shape, dtype=torch.float32)
    rate, decay, bias_rate, bias_decay, momentum, beta1, beta2, epsilon, correction1, correction2 = numbers
    found = module().train_step(
        weight_LK,
        index_HK,
        bias_L,
        group,
        x_DB,
        label_P,
        row_P,
        grad_x_DB,
        label_weight_L,
        loss,
        scale,
        rule,
        rate,
        decay,
        bias_rate,
        bias_decay,
        momentum,
        beta1,
        beta2,
        epsilon,
        correction1,
        correction2,
        key,
        first_LK,
        second_LK,
        first_L,
        second_L,
        torch.get_num_threads(),
    )
    return grad_x_DB, torch.tensor(found, dtype=torch.float64)


def _fake_step(x_DB: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return x_DB.new_empty(x_DB.shape, dtype=torch.float32), x_DB.new_empty(4, dtype=torch.float64)


# Defined by hand: `custom_op` asks Python three times a call, with all arguments each time, which took 0.1 ms of a step more.
# A module that is loaded again lets go of the old library first.
_library = torch.library.Library("xmcbench", "FRAGMENT")  # type: ignore[no-untyped-call]
_schema = torch.library.infer_schema(
    _fused_step, mutates_args=("weight_LK", "bias_L", "first_LK", "second_LK", "first_L", "second_L")
)
torch.library.define(STEP, _schema, lib=_library)
torch.library.impl(STEP, ("cpu", "cuda"), _fused_step, lib=_library)
torch.library.register_fake(STEP, _fake_step, lib=_library)
_train_step = torch.ops.xmcbench.fixed_fan_in_train_step.default


def train_step(
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    label_P: Tensor,
    row_P: Tensor,
    weight_update: Update,
    bias_update: Update,
    *,
    loss: str,
    group: int = 1,
    scale: float = 1.0,
    label_weight_L: Tensor | None = None,
    key: int = 0,
    backend: str = "auto",
) -> tuple[Tensor, float, int, int, int]:
    """Take the fused step by `cpu` or `triton`: weights, bias and moments move in place, no B×L array exists.

    x_DB: float32, or bfloat16 where G = 1, which is the step on the same numbers as float32, to the bit; the CPU kernels then move
    half of the bytes of features. They read it as it lies (x_BD.t() is not copied). grad_x_DB is float32.
    label_P, row_P: positive pairs in any order; one given twice counts once. key: of the stochastic
    rounding of bfloat16 weights; another one each step. On the CPU sums, and so all bits, are those of any other thread
    count; on a GPU they are those of any other run if torch was told to be deterministic. The CPU kernels keep up to 32 MiB of
    their arrays for the next call (`module().free_kept()` frees them).
    The bias may have another rate and decay than the weights; rule, momentum and betas are theirs.
    Before anything is written: ShapeError where a pair lies outside of documents × labels, NonFiniteError where a feature
    is not finite.
    Returns (grad_x_DB scaled, loss unscaled, exactly zero score gradients, labels skipped because all of theirs were,
    first label with a non-finite gradient or −1; such labels keep their weights).
    """
    numbers = [weight_update.rate, weight_update.decay, bias_update.rate, bias_update.decay]
    numbers += [weight_update.momentum, weight_update.beta1, weight_update.beta2, weight_update.epsilon]
    numbers += weight_update.corrections
    moments = [weight_update.first, weight_update.second, bias_update.first, bias_update.second]
    grad_x_DB, found = _train_step(
        x_DB,
        weight_LK,
        index_HK,
        bias_L,
        group,
        *moments,
        label_P,
        row_P,
        label_weight_L,
        LOSSES.index(loss),
        scale,
        RULES.index(weight_update.rule),
        numbers,
        key & (2**63 - 1),
        backend,
    )
    value, zeros, skipped, bad = found.tolist()
    if bad == BAD_PAIRS:
        Positives(x_DB.shape[1], row_P, label_P).require_within(x_DB.shape[1], len(weight_LK))
    if bad == BAD_FEATURES:
        raise NonFiniteError(UNSOUND)
    return grad_x_DB, value, int(zeros), int(skipped), int(bad)


@torch.library.custom_op("xmcbench::fixed_fan_in_top_k", mutates_args=(), device_types=("cpu", "cuda"))
def top_k(
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    k: int,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the k best scores of each document and their labels, streaming: B·k numbers a partition of labels."""
    if choose(backend, weight_LK.device, weight_LK.dtype, x_DB.shape[1]) == "triton":
        layer = _whole(weight_LK, index_HK, bias_L)
        best: tuple[Tensor, Tensor] = gpu().best(x_DB.contiguous(), *layer, group, k)
        return best
    score_Bk = x_DB.new_empty(x_DB.shape[1], k)
    label_Bk = torch.empty(x_DB.shape[1], k, dtype=torch.int64)
    module().top_k(
        *_whole(weight_LK, index_HK, bias_L),
        group,
        x_DB.contiguous(),
        score_Bk,
        label_Bk,
        torch.get_num_threads(),
    )
    return score_Bk, label_Bk


@top_k.register_fake
def _(
    x_DB: Tensor,
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    k: int,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    shape = (x_DB.shape[1], k)
    return x_DB.new_empty(shape), x_DB.new_empty(shape, dtype=torch.int64)


def moves_in_place(weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor) -> bool:
    """Tell whether the fused step can move a layer's tensors: a copy of them would move in their place and be lost."""
    tensors = (weight_LK, index_HK, bias_L)
    return bias_L.dtype == torch.float32 and all(tensor.is_contiguous() for tensor in tensors)


def _whole(weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's tensors as kernels read them; they are copied where they lie otherwise."""
    return weight_LK.contiguous(), index_HK.contiguous(), bias_L.float().contiguous()


def _runs(backend: str, x_DB: Tensor, weight_LK: Tensor) -> str:
    if x_DB.dtype != torch.float32:
        return "torch"
    return choose(backend, weight_LK.device, weight_LK.dtype, x_DB.shape[1])


def gpu() -> Any:
    """Return the module that launches the Triton kernels; triton is imported here, at the first use."""
    from xmcbench.kernels.triton import host

    return host


def module() -> Any:
    """Return the C++ extension, which must be there: `choose` was asked before."""
    found = native()
    assert found is not None
    return found
