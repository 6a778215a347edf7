"""Simulated sparsity: a dense weight and a mask. It saves neither memory nor time; most papers stop here."""

import torch
from torch import Tensor, nn

from xmcbench.output.layer import GrowthBatch, OutputLayer, required, uniform
from xmcbench.recipe import Output
from xmcbench.topology import Gradient, RewireReport, Topology, rewire_mask


class Masked(OutputLayer):
    """z = x (W ∘ M)ᵀ + b, unstructured: L·K connections anywhere in the L×D matrix.

    The weight is zero wherever the mask is, so that weight decay and moments of absent connections stay zero too.
    """

    reads = frozenset({"fan_in", "topology.removed_channels", "topology.kept_channels"})

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.fan_in = required(recipe.fan_in, "output.fan_in", recipe.kind)
        mask_LD = self.initial_mask(generator)
        weight_LD = torch.zeros(labels, features)
        # Row-major over the connections: the draw of a fixed fan-in layer's weight_LK, in the same order.
        weight_LD[mask_LD] = uniform((labels * self.fan_in,), recipe.initial_range, generator).detach()
        self.weight_LD = nn.Parameter(weight_LD)
        self.mask_LD: Tensor
        self.register_buffer("mask_LD", mask_LD)
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    def initial_mask(self, generator: torch.Generator) -> Tensor:
        """Return L·K connections, uniform over the whole matrix."""
        order = torch.randperm(self.labels * self.features, generator=generator, device=generator.device)
        chosen = order[: self.labels * self.fan_in]
        mask = torch.zeros(self.labels * self.features, dtype=torch.bool)
        mask[chosen] = True
        return mask.view(self.labels, self.features)

    def forward(self, x_BD: Tensor) -> Tensor:
        return nn.functional.linear(x_BD, self.weight_LD * self.mask_LD, self.bias_L)

    def scores_of(self, x_BD: Tensor, first: int, last: int) -> Tensor:
        rows = slice(first, last)
        return nn.functional.linear(x_BD, self.weight_LD[rows] * self.mask_LD[rows], self.bias_L[rows])

    def gradient(self, batch: GrowthBatch | None) -> Gradient | None:
        """Return what gradient growth ranks a block of labels by."""
        return None if batch is None else lambda first, last: self.connection_gradient(batch, first, last)

    @torch.no_grad()
    def rewire(
        self,
        topology: Topology,
        step: int,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        """Prune connections of the layer and regrow as many anywhere in it."""
        report = rewire_mask(topology, self.weight_LD, self.mask_LD, step, self.gradient(batch))
        self._clear_absent(optimizer, report)
        return report

    def _clear_absent(self, optimizer: torch.optim.Optimizer | None, report: RewireReport) -> None:
        """Zero weights and moments of connections that are gone or new."""
        stale_LD = ~self.mask_LD
        if report.grown is not None:
            stale_LD |= report.grown
        self.weight_LD[stale_LD] = 0
        if optimizer is not None:
            for value in optimizer.state.get(self.weight_LD, {}).values():
                if isinstance(value, Tensor) and value.shape == self.weight_LD.shape:
                    value[stale_LD] = 0

    def check_invariants(self) -> None:
        assert int(self.mask_LD.sum()) == self.labels * self.fan_in, "number of connections changed"
        assert not bool(self.weight_LD.detach()[~self.mask_LD].any()), "an absent connection has a weight"

    def sparsity(self) -> float:
        return 1.0 - self.fan_in / self.features

    def effective_parameters(self) -> int:
        return int(self.mask_LD.sum()) + self.labels

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        if batch:
            # W ∘ M, kept for the backward pass; its gradient takes that place before the weight's own is made of it.
            kinds["scratch"] = self.weight_LD.numel() * self.weight_LD.element_size()
        return kinds


LAYER = Masked
