"""True fixed fan-in: every label reads K inputs, stored as weight_LK and index_LK (paper §2.2).

Memory, D ≤ 65,536: 4 + 2 bytes a connection at rest, against 4·D/K of a dense layer; in training with AdamW two moments
share the one index, so that it costs 2 bytes beside 12. Nothing of size B×L and no gradient array exists.
"""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from xmcbench.errors import ConfigError, NonFiniteError, ShapeError
from xmcbench.kernels import blocks, choose, operators, rewiring
from xmcbench.kernels.blocks import Loss
from xmcbench.kernels.triton.shapes import MOST_PLACES
from xmcbench.kernels.update import Update, take_back, update_of
from xmcbench.output._by_blocks import BLOCK, step_by_blocks
from xmcbench.output._fan_in_scratch import fan_in_scratch
from xmcbench.output._keys import require_fan_in_kernel
from xmcbench.output.layer import GrowthBatch, OutputLayer, StepResult, required, uniform
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.recipe import Topology as TopologyRecipe
from xmcbench.seeds import derive
from xmcbench.topology import RewireReport, Topology
from xmcbench.topology.distinct import distinct_inputs, unfit_row
from xmcbench.yaml_config import validated


class FixedFanIn(OutputLayer):
    """z_l = b_l + Σ_j w_lj · x[index_lj], K distinct rising inputs a label."""

    reads = frozenset({"fan_in", "scores", "backend", "weight_dtype", "feature_dtype"})
    #: The buffer of inputs. One row a label here; H = ⌈L/G⌉ rows where G labels share one.
    index_name: ClassVar[str] = "index_LK"

    def __init__(
        self,
        features: int,
        labels: int,
        recipe: Output | None = None,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        """features: D. labels: L. settings, in place of a recipe: keys of `xmcbench.recipe.Output`, fan_in foremost.

        generator: source of the initial weights and indices (default: seed 0).
        """
        if recipe is None:
            name = type(self).__name__
            recipe = validated(name, Output, {"kind": type(self).__module__.rpartition(".")[2], **settings})
            self.require_read(recipe)
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        super().__init__(features, labels, recipe, generator)
        self.fan_in = required(recipe.fan_in, "output.fan_in", recipe.kind)
        if self.fan_in > features:
            raise ConfigError(f"output.fan_in: {self.fan_in} of {features} features; allowed: 1 … {features}")
        require_fan_in_kernel(recipe)
        self.group = self.labels_a_row(recipe)
        self.streams = recipe.scores == "stream"
        self.rounds_features = recipe.feature_dtype == "bfloat16"
        self.backend = recipe.backend
        index_dtype = torch.uint16 if features <= 65_536 else torch.int32
        index_HK = distinct_inputs(-(-labels // self.group), features, self.fan_in, generator)
        weight_LK = uniform((labels, self.fan_in), recipe.initial_range, generator)
        self.weight_LK = nn.Parameter(weight_LK.detach().to(getattr(torch, recipe.weight_dtype)))
        self.register_buffer(self.index_name, index_HK.to(index_dtype))
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))

    @classmethod
    def require_read(cls, output: Output, topology: TopologyRecipe | None = None) -> None:
        """Raise ConfigError as every layer does, and where no kernel computes what is asked for."""
        super().require_read(output, topology)
        require_fan_in_kernel(output)

    def labels_a_row(self, recipe: Output) -> int:
        """Return how many labels share a row of inputs, G."""
        return 1

    @property
    def index(self) -> Tensor:
        """The inputs, H×K."""
        return self.get_buffer(self.index_name)

    def _read(self, x_BD: Tensor) -> Tensor:
        """Return the features as labels read them: rounded to bfloat16 if so asked; their gradient passes as it is."""
        if not self.rounds_features:
            return x_BD
        return x_BD + (x_BD.to(torch.bfloat16).to(x_BD.dtype) - x_BD).detach()

    def forward(self, x_BD: Tensor) -> Tensor:
        self.require_features(x_BD)
        z_LB: Tensor = operators.scores(
            self._read(x_BD).t(), self.weight_LK, self.index, self.bias_L, self.group, self.backend
        )
        return z_LB.t()

    def train_step(
        self,
        x_BD: Tensor,
        positives: Positives,
        *,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        scale: float = 1.0,
    ) -> StepResult:
        if x_BD.dtype in (torch.float16, torch.bfloat16):  # of an encoder under autocast
            result = self.train_step(
                x_BD.detach().float(), positives, loss=loss, optimizer=optimizer, scale=scale
            )
            return replace(result, grad_x_BD=result.grad_x_BD.to(x_BD.dtype))
        if not self.streams:
            return super().train_step(x_BD, positives, loss=loss, optimizer=optimizer, scale=scale)
        self.require_features(x_BD)
        positives.require_documents(len(x_BD))
        x_BD = x_BD.detach()
        updates = update_of(optimizer, self.weight_LK), update_of(optimizer, self.bias_L)
        fuses = (
            x_BD.dtype == torch.float32
            and loss.name in operators.LOSSES
            and updates[0].agrees_with(updates[1])
            and operators.moves_in_place(self.weight_LK, self.index, self.bias_L)
        )
        runs = self._runs(len(x_BD)) if fuses else "torch"
        with torch.no_grad():
            try:
                if runs == "torch":  # kernels look at a batch themselves
                    blocks.require_sound(x_BD, positives, self.labels)
                else:
                    found = self._fused(x_BD, positives, loss.name, updates, scale)
            except (NonFiniteError, ShapeError):
                take_back(optimizer, self.weight_LK, self.bias_L)
                raise
            if runs == "torch":
                key = self._key(updates[0])
                with torch.autocast(x_BD.device.type, enabled=False):
                    return step_by_blocks(self, self._read(x_BD), positives, loss, updates, scale, key)
        grad_x_DB, value, zeros, skipped, bad = found
        if bad >= 0:
            raise NonFiniteError(
                f"output layer: the gradient of label {bad} is not finite; it was left as it was"
            )
        return StepResult(value, grad_x_DB.t(), zeros / (len(x_BD) * self.labels), skipped / self.labels)

    def _fused(
        self, x_BD: Tensor, positives: Positives, loss: str, updates: tuple[Update, Update], scale: float
    ) -> tuple[Tensor, float, int, int, int]:
        x_DB = x_BD.t()
        if self.rounds_features:
            x_DB = x_DB.to(torch.bfloat16, memory_format=torch.contiguous_format)
        return operators.train_step(
            x_DB,
            self.weight_LK,
            self.index,
            self.bias_L,
            positives.label_P,
            positives.row_P,
            *updates,
            loss=loss,
            group=self.group,
            scale=scale,
            key=self._key(updates[0]),
            backend=self.backend,
        )

    def scores_of(self, x_BD: Tensor, first: int, last: int) -> Tensor:
        rows = slice(first, last)
        weight_lK = self.weight_LK[rows].to(x_BD.dtype)
        return blocks.bag_scores(
            self._read(x_BD).t().contiguous(), weight_lK, self.inputs_of(rows), self.bias_L[rows]
        ).t()

    def _runs(self, documents: int = 1) -> str:
        return choose(self.backend, self.weight_LK.device, self.weight_LK.dtype, documents)

    def inputs_of(self, labels: slice) -> Tensor:
        """Return the inputs of each label of a slice that begins with a group."""
        rows = slice(labels.start // self.group, -(-labels.stop // self.group))
        return blocks.rows_of_labels(self.index[rows], self.group, labels.stop - labels.start)

    def _key(self, update: Update) -> int:
        """Return the key of this step's stochastic rounding: a function of state that checkpoints hold."""
        if self.weight_LK.dtype != torch.bfloat16:
            return 0
        count = update.step if update.rule == "adamw" else int(self.bias_L.detach().view(torch.int32).sum())
        return derive(count, "stochastic rounding")

    @torch.no_grad()
    def top_k(self, x_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        self.require_features(x_BD)
        blocks.require_places(k)
        x_DB = self._read(x_BD).t()
        runs = self._runs(len(x_BD)) if x_BD.dtype == torch.float32 else "torch"
        if runs == "cpu" or (runs == "triton" and k <= MOST_PLACES):
            score_Bk, label_Bk = operators.top_k(
                x_DB, self.weight_LK, self.index, self.bias_L, self.group, k, self.backend
            )
            return score_Bk, label_Bk

        size = -(-BLOCK // self.group) * self.group
        return blocks.top_k(lambda first, last: self.scores_of(x_BD, first, last), self.labels, k, size)

    @torch.no_grad()
    def rewire(
        self,
        topology: Topology | None = None,
        step: int = 0,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        """Prune and regrow within each label; new weights and their moments are zero, rows stay sorted.

        topology: what to drop and grow (default: SET with the recipe's defaults). step: of the run; equal steps draw alike.
        batch: what gradient growth takes its gradients of, a block of labels at a time.
        """
        if topology is None:
            topology = Topology(TopologyRecipe(), total_steps=step + 1, seed=0)

        def gradient(first: int, last: int) -> Tensor:
            assert batch is not None
            return self._row_gradient(replace(batch, x_BD=self._read(batch.x_BD)), first, last)

        state = [] if optimizer is None else optimizer.state.get(self.weight_LK, {}).values()
        moments = [m for m in state if isinstance(m, Tensor) and m.shape == self.weight_LK.shape]
        given, pruned = None if batch is None else gradient, 0
        for plan in topology.plan_rows(self._row_weights(), self.index, self.features, step, given):
            labels = slice(plan.first * self.group, min(plan.rows.stop * self.group, self.labels))
            its = [moment[labels] for moment in moments]
            if topology.moments == "inherit":
                source_lK = blocks.rows_of_labels(plan.source_RK, self.group, labels.stop - labels.start)
                for moment in its:
                    moment.copy_(moment.gather(1, source_lK))
                its = []
            rewiring.rewire(
                self.weight_LK[labels],
                self.index[plan.rows],
                its,
                plan.index_RK,
                plan.source_RK,
                plan.new_RK,
                self.group,
            )
            new_RK = plan.new_RK.sum(dim=1)[:, None]
            pruned += int(blocks.rows_of_labels(new_RK, self.group, labels.stop - labels.start).sum())
        return RewireReport(pruned, pruned)

    def _row_weights(self) -> Tensor:
        """Return the weights that stand for each row of inputs, H×K."""
        return self.weight_LK

    def _row_gradient(self, batch: GrowthBatch, first: int, last: int) -> Tensor:
        """Return |∂loss/∂w| by every feature for rows of inputs first … last−1, over a row's labels (h×D)."""
        return self.connection_gradient(batch, first, last)

    def check_invariants(self) -> None:
        assert self.index.shape == (-(-self.labels // self.group), self.fan_in)
        row = unfit_row(self.index, self.features)
        assert row is None, f"row {row}: inputs are not distinct, rising and among the features"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Refuse the inputs of a layer with other features, with which kernels would read and write elsewhere."""
        saved = state_dict.get(prefix + self.index_name)
        if saved is not None and saved.shape == self.index.shape:
            row = unfit_row(saved, self.features)
            if row is not None:
                raise ShapeError(
                    f"{prefix}{self.index_name}: row {row} holds {saved[row].tolist()}; "
                    f"allowed: distinct rising inputs, 0 … {self.features - 1}"
                )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def sparsity(self) -> float:
        return 1.0 - self.fan_in / self.features

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        if self.streams:
            del kinds["gradient"]
            kinds.pop("scores", None)
        if batch:
            kinds["scratch"] = fan_in_scratch(self, self._runs(batch), batch)
        return kinds


LAYER = FixedFanIn
