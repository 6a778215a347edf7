"""SRigL with neuron ablation: constant fan-in whose budget moves from labels that hold nothing salient to the others.

After Lasby et al. (ICLR 2024). Without `topology.ablation` it is `masked_fixed_fan_in` with global pruning and gradient
growth, which is what an output layer wants: an ablated label can be predicted by its bias alone.
"""

import torch
from torch import Tensor

from xmcbench.errors import ConfigError
from xmcbench.output.layer import GrowthBatch
from xmcbench.output.masked_fixed_fan_in import MaskedFixedFanIn
from xmcbench.topology import RewireReport, Topology


class MaskedSRigL(MaskedFixedFanIn):
    """Labels have all the same fan-in k, or none; k is the budget of L·K connections over the labels that live."""

    reads = MaskedFixedFanIn.reads | {"topology.ablation"}

    @torch.no_grad()
    def rewire(
        self,
        topology: Topology,
        step: int,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        if topology.ablation is None:
            return super().rewire(topology, step, optimizer, batch)
        if batch is None:
            raise ConfigError("topology.ablation: needs gradients; allowed: topology.grow: gradient_growth")
        before_LD, weight_LD = self.mask_LD.clone(), self.weight_LD.detach().abs()
        kept_LD = self._kept(topology, step)
        growth_LD = self.connection_gradient(batch, 0, self.labels).abs()
        growth_LD[before_LD] = -1.0
        wanted = int(before_LD.sum()) - int(kept_LD.sum())
        salient_LD = kept_LD.clone()
        salient_LD.view(-1)[growth_LD.view(-1).topk(wanted).indices] = True
        live_L = self._live(salient_LD.sum(dim=1), topology.ablation)
        fan_in = min(self.features, self.labels * self.fan_in // int(live_L.sum()))
        # Kept connections first, by |w|; then the largest gradients; what was just pruned comes last.
        order_LD = torch.where(
            kept_LD, 2 + weight_LD / (1 + weight_LD), growth_LD / (1 + growth_LD.clamp(min=0))
        )
        best_Lk = order_LD.topk(fan_in, dim=1).indices
        self.mask_LD.zero_().scatter_(1, best_Lk, True)
        self.mask_LD[~live_L] = False
        grown_LD = self.mask_LD & ~kept_LD
        report = RewireReport(int((before_LD & ~self.mask_LD).sum()), int(grown_LD.sum()), grown_LD)
        self._clear_absent(optimizer, report)
        return report

    def _kept(self, topology: Topology, step: int) -> Tensor:
        active = self.mask_LD.view(-1).nonzero().flatten()
        dropped = topology.dropped(self.weight_LD.reshape(-1)[None, active], step)[0]
        kept_LD = self.mask_LD.clone()
        kept_LD.view(-1)[active[dropped]] = False
        return kept_LD

    def _live(self, salient_L: Tensor, share: float) -> Tensor:
        """Mark the labels that keep connections: salient enough, and as many as the budget needs to find room."""
        least = -(-self.labels * self.fan_in // self.features)
        live_L = salient_L >= max(1.0, share * self.fan_in)
        live_L[torch.sort(salient_L, descending=True, stable=True).indices[:least]] = True
        return live_L

    def check_invariants(self) -> None:
        fan_in_L = self.mask_LD.sum(dim=1)
        live = int((fan_in_L > 0).sum())
        assert int(fan_in_L.max()) * live == int(fan_in_L.sum()), "labels that live differ in fan-in"
        total = int(fan_in_L.sum())
        assert total <= self.labels * self.fan_in < total + self.labels, "the budget of connections changed"
        assert not bool(self.weight_LD.detach()[~self.mask_LD].any()), "an absent connection has a weight"


LAYER = MaskedSRigL
