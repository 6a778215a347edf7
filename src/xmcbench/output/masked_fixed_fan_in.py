"""Fixed fan-in simulated by a mask: the truth that `fixed_fan_in` is tested against, at a dense layer's cost."""

import torch
from torch import Tensor

from xmcbench.output.layer import GrowthBatch
from xmcbench.output.masked import Masked
from xmcbench.topology import RewireReport, Topology
from xmcbench.topology.distinct import distinct_inputs


class MaskedFixedFanIn(Masked):
    """A masked layer whose mask has exactly K connections in every row.

    Given the same generator state it starts from the same connections, and rewires to the same ones, as `FixedFanIn`.
    """

    reads = frozenset({"fan_in"})

    def initial_mask(self, generator: torch.Generator) -> Tensor:
        index_LK = distinct_inputs(self.labels, self.features, self.fan_in, generator)
        return torch.zeros(self.labels, self.features, dtype=torch.bool).scatter_(1, index_LK, True)

    def index_LK(self) -> Tensor:
        """Return the inputs of every label, rising within a row (int64)."""
        return self.mask_LD.nonzero()[:, 1].view(self.labels, self.fan_in)

    @torch.no_grad()
    def rewire(
        self,
        topology: Topology,
        step: int,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        """Prune and regrow within each label, through the same index arithmetic as the true layer."""
        index_LK = self.index_LK()
        weight_LK = self.weight_LD.gather(1, index_LK)
        grown_LD = torch.zeros_like(self.mask_LD)
        for plan in topology.plan_rows(weight_LK, index_LK, self.features, step, self.gradient(batch)):
            self.mask_LD[plan.rows].zero_().scatter_(1, plan.index_RK, True)
            grown_LD[plan.rows].scatter_(1, plan.index_RK, plan.new_RK)
        pruned = int(grown_LD.sum())
        report = RewireReport(pruned, pruned, grown_LD)
        self._clear_absent(optimizer, report)
        return report

    def check_invariants(self) -> None:
        super().check_invariants()
        assert bool((self.mask_LD.sum(dim=1) == self.fan_in).all()), "a label's fan-in changed"


LAYER = MaskedFixedFanIn
