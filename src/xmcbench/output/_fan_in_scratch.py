"""What a step of fixed fan-in holds beside weights, index and moments, in bytes; nothing of it grows with L on a CPU."""

from typing import TYPE_CHECKING

import torch

from xmcbench.kernels import cpu_scratch, operators
from xmcbench.kernels.triton import shapes

if TYPE_CHECKING:
    from xmcbench.output.fixed_fan_in import FixedFanIn


def fan_in_scratch(layer: "FixedFanIn", runs: str, batch: int) -> int:
    """Return the bytes of a step on so many documents. runs: the backend that takes it."""
    kernel = _of_cpu_kernel(layer, batch) if runs == "cpu" else 0
    if not layer.streams:
        # What autograd keeps for the backward pass: the features, transposed.
        return kernel + 4 * layer.features * batch
    if layer.weight_LK.is_cuda and runs == "triton":
        by_input = torch.are_deterministic_algorithms_enabled()
        return shapes.scratch_bytes(layer.labels, layer.features, layer.fan_in, batch, layer.group, by_input)
    # The features' gradient, and a copy of the features: C++ kernels read them as they lie, but for those that are rounded first;
    # torch blocks hold them transposed.
    copied = 2 if layer.rounds_features else 0 if runs == "cpu" else 4
    return kernel + (copied + 4) * layer.features * batch


def _of_cpu_kernel(layer: "FixedFanIn", batch: int) -> int:
    return cpu_scratch.scratch_bytes(
        layer.labels,
        layer.features,
        layer.fan_in,
        batch,
        layer.group,
        tile=operators.module().tile(layer.group),
        threads=torch.get_num_threads(),
        narrow_weights=layer.weight_LK.dtype == torch.bfloat16,
        narrow_features=layer.rounds_features,
    )
