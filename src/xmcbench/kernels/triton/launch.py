"""What every launch shares: recording instead of running, checks of arguments, bits of bfloat16, numbers of the rules."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from xmcbench.errors import KernelError
from xmcbench.kernels.triton import fan_in, shapes
from xmcbench.kernels.update import Update

#: Whether the kernels run in triton's interpreter; the environment decided it when they were imported.
INTERPRETED = not isinstance(fan_in.step, triton.runtime.JITFunction)
#: Of the loads ahead of products: a third stage made the group step spill.
STAGES = 2


@dataclass(frozen=True)
class Launch:
    """A kernel, its grid of programs, its arguments by name, and the size of a program."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    size: shapes.Blocks


_recorded: list[Launch] | None = None


@contextmanager
def recording() -> Iterator[list[Launch]]:
    """Collect launches instead of running them: what is compiled ahead of time is what would run."""
    global _recorded
    _recorded = []
    try:
        yield _recorded
    finally:
        _recorded = None


def options(size: shapes.Blocks) -> dict[str, Any]:
    """Return triton's options of a program of this size."""
    return {"num_warps": size.warps, "num_stages": STAGES, "maxnreg": size.registers}


def run(
    kernel: Any, grid: tuple[int, ...], size: shapes.Blocks, device: torch.device, **arguments: Any
) -> None:
    """Launch a kernel on a device, or record that it would be launched."""
    if _recorded is not None:
        _recorded.append(Launch(kernel, grid, arguments, size))
        return
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[grid](**arguments, **options(size))


def bits(weight: Tensor) -> Tensor:
    """Return bfloat16 weights as the int16 that the kernels read and write."""
    if not weight.is_contiguous():
        raise KernelError("backend triton: weights must be contiguous, they are updated in place")
    return weight.view(torch.int16) if weight.dtype == torch.bfloat16 else weight


def is_narrow(weight: Tensor) -> bool:
    """Return whether products may take bfloat16 as it is: the interpreter's are wrong."""
    return weight.dtype == torch.bfloat16 and not INTERPRETED


def check(x_DB: Tensor) -> None:
    """Raise KernelError for features that the kernels cannot take."""
    if x_DB.shape[1] > shapes.MOST_DOCUMENTS:
        raise KernelError(
            f"backend triton: a batch of {x_DB.shape[1]}; allowed: up to {shapes.MOST_DOCUMENTS}"
        )
    if x_DB.numel() >= 1 << 31:
        raise KernelError(f"backend triton: features of {x_DB.numel()} numbers; allowed: below 2³¹")


def rule_numbers(update: Update) -> tuple[float, ...]:
    """Return an update's constants in the order that `update.advance` takes them."""
    corrections = update.corrections if update.rule == "adamw" else (1.0, 1.0)
    constants = (update.momentum, update.beta1, update.beta2, update.epsilon)
    return tuple(
        map(
            float,
            (
                update.rate,
                1 - update.rate * update.decay,
                *constants,
                1 / corrections[0],
                corrections[1] ** -0.5,
            ),
        )
    )
