"""True fixed fan-in: every label reads K inputs, stored as weight_LK and index_LK (paper §2.2).

Memory, D ≤ 65,536: 4 + 2 bytes a connection at rest, against 4·D/K of a dense layer; in training with AdamW the
gradient and two moments share the one index, so that it costs 2 bytes beside 16 (12.5 %).
"""

import torch
from torch import Tensor, nn

from xmcbench.output.layer import OutputLayer, required, uniform
from xmcbench.recipe import Output
from xmcbench.topology import RewireReport, Topology
from xmcbench.topology.distinct import distinct_inputs

#: Labels whose indices are widened to int32 at a time: torch has few operations on uint16.
BLOCK = 16_384


class FixedFanIn(OutputLayer):
    """z_l = b_l + Σ_j w_lj · x[index_lj], K distinct rising inputs a label."""

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.fan_in = required(recipe.fan_in, "output.fan_in", recipe.kind)
        index_dtype = torch.uint16 if features <= 65_536 else torch.int32
        index_LK = distinct_inputs(labels, features, self.fan_in, generator)
        self.weight_LK = uniform((labels, self.fan_in), recipe.initial_range, generator)
        self.index_LK: Tensor
        self.register_buffer("index_LK", index_LK.to(index_dtype))
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    def forward(self, x_BD: Tensor) -> Tensor:
        # Features are the table, a label's inputs a bag: row d of x_DB holds feature d of the whole batch.
        x_DB = x_BD.t().contiguous()
        blocks = [
            nn.functional.embedding_bag(
                self.index_LK[start : start + BLOCK].to(torch.int32),
                x_DB,
                mode="sum",
                per_sample_weights=self.weight_LK[start : start + BLOCK],
            )
            for start in range(0, self.labels, BLOCK)
        ]
        z_LB = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        return (z_LB + self.bias_L[:, None]).t()

    @torch.no_grad()
    def rewire(
        self, topology: Topology, step: int, optimizer: torch.optim.Optimizer | None = None
    ) -> RewireReport:
        """Prune and regrow within each label; new weights and their moments are zero, rows stay sorted."""
        index_LK = self.index_LK.to(torch.int64)
        plan = topology.plan_rows(self.weight_LK, index_LK, self.features, step)
        carried: list[Tensor] = [self.weight_LK]
        if optimizer is not None:
            carried += [
                value
                for value in optimizer.state.get(self.weight_LK, {}).values()
                if isinstance(value, Tensor) and value.shape == self.weight_LK.shape
            ]
        for tensor_LK in carried:
            tensor_LK.copy_(tensor_LK.gather(1, plan.source_LK).masked_fill_(plan.new_LK, 0))
        self.index_LK.copy_(plan.index_LK.to(self.index_LK.dtype))
        return RewireReport(plan.pruned, plan.pruned)

    def check_invariants(self) -> None:
        index_LK = self.index_LK.to(torch.int64)
        assert index_LK.shape == (self.labels, self.fan_in)
        assert int(index_LK.min()) >= 0 and int(index_LK.max()) < self.features, "an index is out of range"
        assert bool((index_LK.diff(dim=1) > 0).all()), "a label's inputs are not distinct and rising"

    def sparsity(self) -> float:
        return 1.0 - self.fan_in / self.features

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        if batch:
            # One block's int32 indices, kept for the backward pass.
            kinds["scratch"] = self.index_LK.numel() * 4
        return kinds


LAYER = FixedFanIn
