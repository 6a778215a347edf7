"""Any output layer, holding its labels in another order; outside, labels keep their own ids.

Group-shared inputs and blocks of a factored matrix serve labels that stand side by side, so alike labels should.
Shapes: B documents, D features, L labels, k predictions a document.
"""

import torch
from torch import Tensor

from xmcbench.kernels.blocks import Loss
from xmcbench.output.layer import GrowthBatch, OutputLayer, StepResult
from xmcbench.positives import Positives
from xmcbench.topology import RewireReport, Topology


class Ordered(OutputLayer):
    """Turns label ids into places of the inner layer and back; 8 bytes a label.

    Equal scores are ranked by place, not by id.
    """

    def __init__(self, inner: OutputLayer, order_L: Tensor) -> None:
        """order_L: int64, the label at each place: a permutation."""
        torch.nn.Module.__init__(self)
        self.features, self.labels = inner.features, inner.labels
        self.inner = inner
        self.order_L: Tensor
        self.place_L: Tensor
        self.register_buffer("order_L", order_L.to(torch.int32))
        self.register_buffer("place_L", torch.argsort(order_L).to(torch.int32), persistent=False)

    def forward(self, x_BD: Tensor) -> Tensor:
        z_BL: Tensor = self.inner(x_BD)
        return z_BL[:, self.place_L]

    def train_step(
        self,
        x_BD: Tensor,
        positives: Positives,
        *,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        scale: float = 1.0,
    ) -> StepResult:
        positives.require_within(len(x_BD), self.labels)
        return self.inner.train_step(
            x_BD, self._placed(positives), loss=loss, optimizer=optimizer, scale=scale
        )

    @torch.no_grad()
    def top_k(self, x_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        score_Bk, place_Bk = self.inner.top_k(x_BD, k)
        label_Bk = self.order_L[place_Bk.clamp(min=0)].to(torch.int64)
        return score_Bk, torch.where(place_Bk < 0, -1, label_Bk)

    def rewire(
        self,
        topology: Topology,
        step: int,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        if batch is not None:
            batch = GrowthBatch(batch.x_BD, self._placed(batch.positives), batch.loss)
        return self.inner.rewire(topology, step, optimizer, batch)

    def learning_rate_factors(self) -> dict[str, float]:
        return {f"inner.{name}": factor for name, factor in self.inner.learning_rate_factors().items()}

    def after_step(self, step: int, total: int, optimizer: torch.optim.Optimizer) -> None:
        self.inner.after_step(step, total, optimizer)

    def check_invariants(self) -> None:
        self.inner.check_invariants()

    def sparsity(self) -> float:
        return self.inner.sparsity()

    def effective_parameters(self) -> int:
        return self.inner.effective_parameters()

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = self.inner.memory(optimizer, batch)
        kinds["buffer"] = kinds.get("buffer", 0) + self.order_L.nbytes + self.place_L.nbytes
        return kinds

    def _placed(self, positives: Positives) -> Positives:
        place_P = self.place_L[positives.label_P].to(torch.int64)
        return Positives(positives.documents, positives.row_P, place_P)
