"""Which backend computes: by device and dtype, quiet on `auto`, an error with the reason when one is asked for by name."""

import os
import warnings
from functools import cache
from types import ModuleType

import torch

from xmcbench.errors import KernelError

#: `cpu`: C++.  `torch`: blocks of labels through torch operations, on any device and in any floating dtype.
BACKENDS = ("auto", "cpu", "torch")


@cache
def native() -> ModuleType | None:
    """Return the C++ extension, or None if it was not built; says so once."""
    try:
        from xmcbench.kernels import _cpu
    except ImportError as error:
        warnings.warn(
            f"xmcbench was built without its CPU kernels ({error}); it works through torch, slower",
            stacklevel=2,
        )
        return None
    wanted = os.environ.get("XMCBENCH_INSTRUCTION_SET")
    if wanted:
        try:
            _cpu.use_instruction_set(wanted)
        except ValueError:
            known = ", ".join(_cpu.instruction_sets())
            raise KernelError(
                f"XMCBENCH_INSTRUCTION_SET={wanted}: not on this machine; allowed: {known}"
            ) from None
    module: ModuleType = _cpu
    return module


def choose(asked: str, device: torch.device, dtype: torch.dtype) -> str:
    """Return the backend for weights of a dtype on a device; raises KernelError if the one asked for cannot run."""
    reason = _cpu_cannot(device, dtype)
    if asked == "auto":
        return "torch" if reason else "cpu"
    if asked not in BACKENDS:
        raise KernelError(f"backend: unknown value {asked!r}; allowed: {', '.join(BACKENDS)}")
    if asked == "cpu" and reason:
        raise KernelError(f"backend cpu cannot run: {reason}")
    return asked


def _cpu_cannot(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"the weights are on {device.type}"
    if dtype not in (torch.float32, torch.bfloat16):
        return f"the weights are {dtype}; allowed: torch.float32, torch.bfloat16"
    if native() is None:
        return "the package was built without it (a C++17 compiler with OpenMP is needed)"
    return None
