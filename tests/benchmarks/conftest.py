"""Benchmarks run in a process set up as a training's; their JSON says which machine measured, as rows travel."""

from typing import Any

import pytest
import torch

from xmcbench.training.hardware import environment
from xmcbench.training.heap import keep_freed_memory


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    machine_info["xmcbench"] = {device: environment(device) for device in devices}


@pytest.fixture(scope="session", autouse=True)
def freed_memory() -> None:
    """Keep it, as a training does: rivals make arrays at each call, ours keep theirs anyway."""
    keep_freed_memory()
