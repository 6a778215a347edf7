"""What the benchmarks' JSON says of the machine that measured: rows are often collected on another one."""

from typing import Any

import torch

from xmcbench.training.hardware import environment


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    machine_info["xmcbench"] = {device: environment(device) for device in devices}
