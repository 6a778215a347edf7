"""What the command modules share: how a command is registered, and checks of its arguments."""

import argparse
import os
from typing import Protocol, TypeVar

T = TypeVar("T")


class Register(Protocol):
    """Adds a command: its name, what it runs, its help, and the names of paths it needs."""

    def __call__(self, name: str, function: object, text: str, *paths: str) -> argparse.ArgumentParser: ...


#: Libraries that choose threads, or a workspace on a GPU, from call to call change the order of sums; read at their start.
FIXED_THREADS = {"MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def set_up_process() -> None:
    """Set what belongs to the whole process, before a library is loaded that reads it."""
    from xmcbench.training.heap import keep_freed_memory

    for name, value in FIXED_THREADS.items():
        os.environ.setdefault(name, value)
    keep_freed_memory()


def known(values: dict[str, T], name: str, key: str) -> T:
    """Return a named value; raises ConfigError that lists the allowed names."""
    from xmcbench.errors import ConfigError, allowed

    if name not in values:
        raise ConfigError(f"{key}: unknown value {name!r}; {allowed(values)}")
    return values[name]


def require_device(device: str, target: str, instead: str) -> None:
    """Raise DeviceError before minutes of work if a target's device is missing; instead: the target for this machine."""
    import torch

    from xmcbench.errors import DeviceError

    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"{target}: this machine has no CUDA device that torch can use; allowed here: the target {instead}"
        )


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}; allowed: 1 or more")
    return value


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
