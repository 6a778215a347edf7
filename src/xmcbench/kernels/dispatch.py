"""Which backend computes: by device and dtype, quiet on `auto`, an error with the reason when one is asked for by name."""

import os
import warnings
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch

from xmcbench.errors import KernelError
from xmcbench.kernels.triton.shapes import MOST_DOCUMENTS

#: `cpu`: C++.  `triton`: NVIDIA GPUs.  `torch`: blocks of labels through torch operations, on any device and in any
#: floating dtype.
BACKENDS = ("auto", "cpu", "triton", "torch")


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


def choose(asked: str, device: torch.device, dtype: torch.dtype, documents: int = 1) -> str:
    """Return the backend for weights of a dtype on a device; raises KernelError if the one asked for cannot run.

    documents: of a batch, B; more than a GPU program can hold are left to torch on `auto`.
    """
    if asked == "auto":
        if device.type == "cuda":
            return "torch" if _triton_cannot(device, dtype, documents) else "triton"
        return "torch" if _cpu_cannot(device, dtype) else "cpu"
    if asked not in BACKENDS:
        raise KernelError(f"backend: unknown value {asked!r}; allowed: {', '.join(BACKENDS)}")
    reason = None
    if asked == "cpu":
        reason = _cpu_cannot(device, dtype)
    elif asked == "triton":
        reason = _triton_cannot(device, dtype, documents)
    if reason:
        raise KernelError(f"backend {asked} cannot run: {reason}")
    return asked


def _triton_cannot(device: torch.device, dtype: torch.dtype, documents: int) -> str | None:
    # On the CPU the interpreter runs them, for tests; `auto` never asks for that.
    if device.type != "cuda" and not (device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"the weights are on {device.type}; allowed: cuda"
    if dtype not in (torch.float32, torch.bfloat16):
        return f"the weights are {dtype}; allowed: torch.float32, torch.bfloat16"
    if documents > MOST_DOCUMENTS:
        return f"a batch of {documents}; allowed: up to {MOST_DOCUMENTS}"
    if find_spec("triton") is None:
        return "triton is not installed (it exists for Linux)"
    if device.type == "cuda":
        if torch.version.hip:
            return "the device is not one of NVIDIA"
        if torch.cuda.get_device_capability(device) < (8, 0):
            return "the device is older than compute capability 8.0"
    return None


def _cpu_cannot(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"the weights are on {device.type}"
    if dtype not in (torch.float32, torch.bfloat16):
        return f"the weights are {dtype}; allowed: torch.float32, torch.bfloat16"
    if native() is None:
        return "the package was built without it (a C++17 compiler with OpenMP is needed)"
    return None
