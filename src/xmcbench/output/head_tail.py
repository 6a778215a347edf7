"""HASTE: a dense head over the first labels, group-shared fixed fan-in over the rest (arXiv 2606.01117).

The head's dense gradients teach the encoder what sparse ones cannot, in place of an auxiliary objective. Labels come in
the order of `output.label_order`, the most frequent first. Shapes: B documents, D features, L labels.
"""

import torch
from torch import Tensor

from xmcbench.errors import ConfigError
from xmcbench.kernels import blocks
from xmcbench.kernels.blocks import Loss
from xmcbench.output.dense_chunked import DenseChunked
from xmcbench.output.group_fan_in import GroupFanIn
from xmcbench.output.layer import GrowthBatch, OutputLayer, StepResult, required
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.topology import RewireReport, Topology


def head_labels(labels: int, recipe: Output) -> int:
    """Return how many labels the dense head takes: its share, rounded up to whole groups."""
    group = required(recipe.group, "output.group", recipe.kind)
    return -(-int(recipe.head_share * labels) // group) * group


class HeadTail(OutputLayer):
    """Two layers side by side; with private features the tail reads the first half of them and the head the second."""

    reads = GroupFanIn.reads | DenseChunked.reads | {"head_share", "private_features"}

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.head_labels = head_labels(labels, recipe)
        if not 0 < self.head_labels < labels:
            raise ConfigError(
                f"output.head_share: a head of {self.head_labels} of {labels} labels; allowed: some, but not all"
            )
        half = features // 2 if recipe.private_features else 0
        self.of_head = slice(half, features)
        self.of_tail = slice(0, half or features)
        self.head = DenseChunked(features - half, self.head_labels, recipe, generator)
        self.tail = GroupFanIn(half or features, labels - self.head_labels, recipe, generator)

    def forward(self, x_BD: Tensor) -> Tensor:
        self.require_features(x_BD)
        return torch.cat([self.head(x_BD[:, self.of_head]), self.tail(x_BD[:, self.of_tail])], dim=1)

    @torch.no_grad()
    def train_step(
        self,
        x_BD: Tensor,
        positives: Positives,
        *,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        scale: float = 1.0,
    ) -> StepResult:
        """Step on the head, then on the tail: a gradient of the tail that is not finite leaves the head stepped."""
        self.require_features(x_BD)
        positives.require_within(len(x_BD), self.labels)
        grad_x_BD = torch.zeros_like(x_BD)
        done, zeros, skipped, value = 0, 0.0, 0.0, 0.0
        for part, columns in ((self.head, self.of_head), (self.tail, self.of_tail)):
            its = blocks.block_positives(positives, done, done + part.labels)
            read_BD = x_BD[:, columns].contiguous()
            result = part.train_step(read_BD, its, loss=loss, optimizer=optimizer, scale=scale)
            grad_x_BD[:, columns] += result.grad_x_BD
            value += result.loss
            zeros += result.zero_share * part.labels
            skipped += result.skipped_share * part.labels
            done += part.labels
        return StepResult(value, grad_x_BD, zeros / self.labels, skipped / self.labels)

    @torch.no_grad()
    def top_k(self, x_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        self.require_features(x_BD)
        head_Bk, label_Bk = self.head.top_k(x_BD[:, self.of_head].contiguous(), k)
        tail_Bk, place_Bk = self.tail.top_k(x_BD[:, self.of_tail].contiguous(), k)
        score = torch.cat([head_Bk, tail_Bk], dim=1)
        label = torch.cat([label_Bk, torch.where(place_Bk < 0, -1, place_Bk + self.head_labels)], dim=1)
        # The head stands in front and the sort is stable: the smaller label wins a tie.
        score, order = torch.sort(score, dim=1, descending=True, stable=True)
        return score[:, :k], label.gather(1, order)[:, :k]

    def rewire(
        self,
        topology: Topology,
        step: int,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        """Rewire the tail; the head has every connection."""
        if batch is not None:
            its = blocks.block_positives(batch.positives, self.head_labels, self.labels)
            batch = GrowthBatch(batch.x_BD[:, self.of_tail], its, batch.loss)
        return self.tail.rewire(topology, step, optimizer, batch)

    def check_invariants(self) -> None:
        self.tail.check_invariants()

    def sparsity(self) -> float:
        connections = self.head.weight_LD.numel() + self.tail.weight_LK.numel()
        return 1.0 - connections / (self.features * self.labels)

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        # The optimiser's state is one for both parts.
        head, tail = self.head.memory(None, batch), self.tail.memory(None, batch)
        kinds = {kind: head.get(kind, 0) + tail.get(kind, 0) for kind in head | tail}
        if batch:
            # What the head holds in its step is gone in the tail's; both read copies, and fill one gradient.
            kinds["scratch"] = tail["scratch"] + 2 * batch * self.features * 4
        if optimizer is not None:
            kinds["optimizer"] = super().memory(optimizer)["optimizer"]
        return kinds


LAYER = HeadTail
