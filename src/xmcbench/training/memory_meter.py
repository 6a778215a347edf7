"""What a training step of an output layer really holds: bytes of live tensor storages, by kind, at the step's peak.

A dispatch mode sees every tensor that a torch operation makes and a finaliser tells when its storage dies; views share
one storage and count once. What a C++ kernel allocates beside torch cannot be seen here: the extension counts it
(`most_scratch`). Nor can what an operator makes inside itself on a GPU: there the allocator is asked for its peak. Process-level
peaks are another matter: below some 670,000 labels an interpreter with torch is larger than any output layer.
"""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xmcbench.kernels.dispatch import native
from xmcbench.output.layer import OutputLayer, optimizer_bytes
from xmcbench.training.device_meter import DeviceMeter
from xmcbench.training.network import Network


class MemoryMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows storages made inside its `with` block; `peak` holds those that lived when their sum was largest.

    known: tensors that were there before and are counted elsewhere. device: where the step computes; a GPU's peak is forgotten
    when the block begins, so whoever wants it asks before.
    """

    def __init__(self, known: list[Tensor], device: str | torch.device = "cpu") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device, self._before = DeviceMeter(torch.device(device)), 0
        self._known = {_storage(t)._cdata for t in known}
        self._live: dict[int, tuple[int, torch.Size]] = {}
        self._total = 0
        self.peak: list[tuple[int, torch.Size]] = []
        self._most = 0
        #: Most bytes that kernels held at once for themselves.
        self.kernel_bytes = 0

    def __enter__(self) -> "MemoryMeter":
        if (kernels := native()) is not None:
            kernels.most_scratch()
        self._device.start()
        self._before = self._device.peak_bytes() or 0
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if (kernels := native()) is not None:
            self.kernel_bytes = kernels.most_scratch()
        self._device.wait()
        if (peak := self._device.peak_bytes()) is not None:
            self.kernel_bytes = max(0, peak - self._before - self._most)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
                self._saw(leaf)
        return result

    def _saw(self, tensor: Tensor) -> None:
        storage = _storage(tensor)
        name = storage._cdata
        if name in self._known or name in self._live or not storage.nbytes():
            return
        self._live[name] = (storage.nbytes(), tensor.shape)
        self._total += storage.nbytes()
        weakref.finalize(storage, self._died, name)
        if self._total > self._most:
            self._most, self.peak = self._total, list(self._live.values())

    def _died(self, name: int) -> None:
        if name in self._live:
            self._total -= self._live.pop(name)[0]


def declared_memory(
    network: Network, optimizers: dict[str, torch.optim.Optimizer], documents: int
) -> dict[str, int]:
    """Return the bytes by kind that the output layer declares for a step of B documents, and those of the parts beside it.

    An intermediate layer or auxiliary head counts with weights, gradients and optimiser state.
    """
    kinds = network.output.memory(optimizers["output"], documents)
    for name in ("intermediate", "auxiliary"):
        part: nn.Module | None = getattr(network, name)
        if part is not None:
            weight = sum(p.numel() * p.element_size() for p in part.parameters())
            kinds[name] = 2 * weight + optimizer_bytes(optimizers[name])
    return kinds


def measured_memory(
    layer: OutputLayer, optimizer: torch.optim.Optimizer, meter: MemoryMeter, documents: int
) -> dict[str, int]:
    """Sort a step's peak into the kinds of `OutputLayer.memory`; what no other kind explains is
    `scratch`, and so is what kernels report.

    documents: B. Weights, indices, masks and optimiser state are what the layer and its optimiser hold now; the rest is
    the meter's.
    """
    kinds: dict[str, int] = {}

    def add(kind: str, count: int) -> None:
        kinds[kind] = kinds.get(kind, 0) + count

    for parameter in layer.parameters():
        add("weight", _storage(parameter).nbytes())
    for name, buffer in layer.named_buffers():
        own = name.rpartition(".")[2]
        kind = "index" if own.startswith("index") else "mask" if own.startswith("mask") else "buffer"
        add(kind, _storage(buffer).nbytes())
    for tensor in held_by(optimizer):
        add("optimizer", _storage(tensor).nbytes())
    weights = {p.numel() for p in layer.parameters() if p.dim() > 1}
    for count, shape in meter.peak:
        numel = shape.numel()
        if numel in weights:
            add("gradient", count)
        elif numel >= documents and documents in shape and numel > documents * layer.features:
            add("scores", count)
        else:
            add("scratch", count)
    add("scratch", meter.kernel_bytes)
    return kinds


def held_by(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return every tensor of an optimiser's state."""
    return [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]


def known_tensors(layer: nn.Module, optimizer: torch.optim.Optimizer, *others: Tensor) -> list[Tensor]:
    """Return what is there before a step: weights, buffers, optimiser state, and the given tensors."""
    return [*layer.parameters(), *layer.buffers(), *held_by(optimizer), *others]


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()
