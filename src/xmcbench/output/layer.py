"""The output-layer contract, and the plain autograd way to train any layer that only states its forward pass.

Shapes: B documents, D features read, L labels, K fan-in, k predictions a document.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from xmcbench.errors import ConfigError, NonFiniteError, ShapeError, allowed
from xmcbench.kernels import blocks
from xmcbench.kernels.blocks import Loss
from xmcbench.output._keys import require_output_keys, require_topology_keys
from xmcbench.positives import Positives
from xmcbench.recipe import Output, modules_of
from xmcbench.recipe import Topology as Recipe
from xmcbench.topology import RewireReport, Topology


@dataclass(frozen=True)
class StepResult:
    """What a training step gives back.

    loss: unscaled. grad_x_BD: scaled. zero_share: of the B×L score gradients, those that are exactly zero.
    skipped_share: of the labels, those whose backward work was left out because all of theirs were.
    """

    loss: float
    grad_x_BD: Tensor
    zero_share: float
    skipped_share: float = 0.0


@dataclass(frozen=True)
class GrowthBatch:
    """What gradient growth may look at: the training batch of the step before a rewire.

    x_BD: features as the output layer read them (dropout and intermediate layer applied).
    """

    x_BD: Tensor
    positives: Positives
    loss: Loss


class OutputLayer(nn.Module):
    """Maps features x_BD to scores z_BL; DESIGN's spine.

    A subclass must set `weight`-like parameters and give `forward`; it is then trained by autograd with all
    scores formed, as most papers do. Overriding `train_step` is what makes a layer scale.
    """

    #: Kinds of `memory()` that hold a parameter, by parameter name; anything else counts as weight.
    index_buffers: ClassVar[tuple[str, ...]] = ("index_LK",)
    mask_buffers: ClassVar[tuple[str, ...]] = ("mask_LD",)
    #: Keys that this kind of layer reads beside those of every layer: of `recipe.Output`, and `topology.KEY` of those that not
    #: every rewiring knows (`output._keys`). Any other that is set is refused.
    reads: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        """features: D. labels: L. generator: source of the initial weights (and indices)."""
        super().__init__()
        self.features = features
        self.labels = labels
        if recipe.options:
            self.read_options(recipe.options)

    @classmethod
    def require_read(cls, output: Output, topology: Recipe | None = None) -> None:
        """Raise ConfigError if a recipe sets a key that this kind of layer does not read."""
        free = {"options"} if cls.read_options is not OutputLayer.read_options else set()
        require_output_keys(output, cls.reads | free)
        if topology is not None:
            rewires = cls.rewire is not OutputLayer.rewire
            require_topology_keys(topology, cls.reads, rewires, output.kind)

    def read_options(self, options: dict[str, Any]) -> None:
        """Check the free `output.options` of a recipe; a layer that knows some overrides this."""
        raise ConfigError(f"output.options: unknown key {', '.join(options)}; {type(self).__name__} has none")

    def require_features(self, x_BD: Tensor) -> None:
        """Raise ShapeError unless x_BD is a batch of D features."""
        if x_BD.dim() != 2 or x_BD.shape[1] != self.features:
            raise ShapeError(
                f"output layer: x_BD has shape {tuple(x_BD.shape)}; allowed: documents × {self.features}"
            )

    def forward(self, x_BD: Tensor) -> Tensor:
        """Return the scores z_BL of every label."""
        raise TypeError(f"{type(self).__name__} does not state its forward pass")

    def train_step(
        self,
        x_BD: Tensor,
        positives: Positives,
        *,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        scale: float = 1.0,
    ) -> StepResult:
        """Take one step on the layer's own weights and return the gradient by the features.

        x_BD: features (no graph needed). scale: factor of this loss in the total, (1 − λ) under an auxiliary objective.
        Returns the unscaled loss and the scaled gradient. Raises NonFiniteError before anything is written.
        """
        self.require_features(x_BD)
        positives.require_within(len(x_BD), self.labels)
        x_BD = x_BD.detach().requires_grad_(True)
        z_BL = self(x_BD)
        value, gradient_BL = loss.value_and_gradient(z_BL.detach(), positives)
        zero_share = 1.0 - int(torch.count_nonzero(gradient_BL)) / gradient_BL.numel()
        optimizer.zero_grad(set_to_none=True)
        z_BL.backward(gradient_BL.mul_(scale))
        extra = self.regularisation()
        if extra is not None:
            torch.autograd.backward([extra])
        for name, parameter in self.named_parameters():
            # One sum per tensor finds every NaN or infinity; an overflow of the sum itself is one as well.
            if parameter.grad is not None and not torch.isfinite(parameter.grad.sum()):
                raise NonFiniteError(
                    f"output layer: the gradient of {name} is not finite; nothing was updated"
                )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert x_BD.grad is not None
        return StepResult(float(value), x_BD.grad, zero_share)

    @torch.no_grad()
    def top_k(self, x_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the k best scores (B×k, falling) and their labels; ties go to the smaller label id.

        If L < k, the surplus labels are −1 with score −inf.
        """
        return blocks.top_k(lambda first, last: self(x_BD)[:, first:last], self.labels, k, self.labels)

    def rewire(
        self,
        topology: Topology,
        step: int,
        optimizer: torch.optim.Optimizer | None = None,
        batch: GrowthBatch | None = None,
    ) -> RewireReport:
        """Prune and regrow connections; a layer without a sparse topology has none.

        batch: needed by rules that grow where the gradient is large.
        """
        return RewireReport(0, 0)

    def regularisation(self) -> Tensor | None:
        """Return a term that `train_step` adds to the loss (its value is not reported), or None."""
        return None

    def learning_rate_factors(self) -> dict[str, float]:
        """Return factors on the recipe's learning rate by parameter name; 1 for those that are not named."""
        return {}

    def after_step(self, step: int, total: int, optimizer: torch.optim.Optimizer) -> None:
        """Do what a layer does once at a certain step (the first is 1) of all; most do nothing."""

    def scores_of(self, x_BD: Tensor, first: int, last: int) -> Tensor:
        """Return the scores of labels first … last−1 (B×l); layers that can, form no others."""
        z_BL: Tensor = self(x_BD)
        return z_BL[:, first:last]

    @torch.no_grad()
    def connection_gradient(self, batch: GrowthBatch, first: int, last: int) -> Tensor:
        """Return ∂loss/∂w of labels first … last−1 by every feature, connected or not (l×D)."""
        z_Bl = self.scores_of(batch.x_BD, first, last).contiguous()
        its = blocks.block_positives(batch.positives, first, last)
        _, gradient_Bl = batch.loss.value_and_gradient(z_Bl, its)
        return gradient_Bl.t() @ batch.x_BD

    def check_invariants(self) -> None:
        """Raise AssertionError if the sparse topology is broken; called by tests after every rewire."""

    def sparsity(self) -> float:
        """Return the share of the L×D connections that do not exist."""
        return 0.0

    def effective_parameters(self) -> int:
        """Count the weights that exist (masked-out ones do not), biases included."""
        return sum(p.numel() for p in self.parameters())

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        """Declare the bytes that training this layer holds, by kind.

        optimizer: counts its state as it is now. batch: B, for the scores z_BL and their gradient (all formed here).
        """
        weight = sum(p.numel() * p.element_size() for p in self.parameters())
        kinds = {"weight": weight, "gradient": weight}
        for name, buffer in self.named_buffers():
            kind = (
                "index" if name in self.index_buffers else "mask" if name in self.mask_buffers else "buffer"
            )
            kinds[kind] = kinds.get(kind, 0) + buffer.numel() * buffer.element_size()
        if optimizer is not None:
            kinds["optimizer"] = optimizer_bytes(optimizer)
        if batch:
            element = next(self.parameters()).element_size()
            kinds["scores"] = 2 * batch * self.labels * element
        return kinds


def optimizer_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of every tensor in an optimiser's state."""
    return sum(
        value.numel() * value.element_size()
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    )


def uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    """Return a parameter uniform in ± bound, on the generator's device."""
    return nn.Parameter((torch.rand(shape, generator=generator, device=generator.device) * 2 - 1) * bound)


def build(
    features: int,
    labels: int,
    recipe: Output,
    generator: torch.Generator,
    topology: Recipe | None = None,
) -> OutputLayer:
    """Build the layer whose module is named by `recipe.kind`.

    topology: how it will be rewired. Raises ConfigError if either sets a key that the layer does not read.
    """
    if recipe.kind not in modules_of("output"):
        raise ConfigError(f"output.kind: unknown value {recipe.kind!r}; {allowed(modules_of('output'))}")
    kind = layer_of(recipe.kind)
    kind.require_read(recipe, topology)
    return kind(features, labels, recipe, generator)


def layer_of(kind: str) -> type[OutputLayer]:
    """Return the class of a kind of layer: its module's `LAYER`."""
    found = import_module(f"xmcbench.output.{kind}").LAYER
    assert issubclass(found, OutputLayer)
    return found  # type: ignore[no-any-return]


def required(value: int | None, key: str, kind: str) -> int:
    """Return a recipe value that a kind of layer cannot do without."""
    if value is None:
        raise ConfigError(f"{key}: missing; output.kind {kind} needs it (allowed: a positive integer)")
    return value
