"""Optimisers of the parts of a network, and the one learning-rate schedule they share."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from xmcbench.encoder import Encoder
from xmcbench.output import OutputLayer
from xmcbench.recipe import OutputOptimizer, TrainRecipe


class DecoupledSGD(torch.optim.SGD):
    """SGD whose weight decay shrinks the weights themselves and never enters the momentum (as in AdamW)."""

    def __init__(self, params: Any, lr: float, momentum: float) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=0.0)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Shrink, then step."""
        for group in self.param_groups:
            decay = group.get("decoupled_decay", 0.0)
            if decay:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.mul_(1 - group["lr"] * decay)
        return super().step(closure)  # type: ignore[no-any-return]


def output_optimizer(layer: OutputLayer, recipe: OutputOptimizer) -> torch.optim.Optimizer:
    """Return the output layer's optimiser; biases do not decay, and a layer may scale its parameters' rates."""
    factors = layer.learning_rate_factors()
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for name, parameter in layer.named_parameters():
        groups.setdefault((parameter.dim() > 1, factors.get(name, 1.0)), []).append(parameter)
    sgd = recipe.kind == "sgd"
    decay = "decoupled_decay" if sgd else "weight_decay"
    settings = [
        {
            "params": parameters,
            "lr": factor * recipe.learning_rate,
            decay: recipe.weight_decay if is_matrix else 0.0,
        }
        for (is_matrix, factor), parameters in groups.items()
        if parameters
    ]
    if sgd:
        return with_peak_rates(DecoupledSGD(settings, lr=recipe.learning_rate, momentum=recipe.momentum))
    return with_peak_rates(torch.optim.AdamW(settings, lr=recipe.learning_rate, fused=True))


def dense_optimizer(
    modules: Iterable[nn.Module], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return AdamW over whole modules; biases and layer norms do not decay."""
    parameters = [p for m in modules for p in m.parameters()]
    return _adamw(
        [p for p in parameters if p.dim() > 1],
        [p for p in parameters if p.dim() <= 1],
        learning_rate,
        weight_decay,
    )


def encoder_optimizers(encoder: Encoder, recipe: TrainRecipe) -> dict[str, torch.optim.Optimizer]:
    """Return AdamW for the dense part and SparseAdam for the token embedding, where there is one; none if frozen."""
    settings = recipe.encoder.optimizer
    dense = encoder.dense_parameters()
    found: dict[str, torch.optim.Optimizer] = {}
    if dense:
        found["encoder"] = _adamw(
            [p for p in dense if p.dim() > 1],
            [p for p in dense if p.dim() <= 1],
            settings.learning_rate,
            settings.weight_decay,
            coupled=settings.kind == "adam",
        )
    if encoder.sparse_parameters():
        sparse = torch.optim.SparseAdam(encoder.sparse_parameters(), lr=settings.embedding_learning_rate)
        found["embedding"] = with_peak_rates(sparse)
    return found


def cosine_with_warmup(step: int, warmup: int, total: int) -> float:
    """Return the factor on every learning rate at optimiser step `step` (from 0): linear up, half cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def with_peak_rates(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Remember each group's peak rate, which the schedule scales."""
    for group in optimizer.param_groups:
        group["peak_lr"] = group["lr"]
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times the factor: the schedule has no state of its own."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def _adamw(
    matrices: list[nn.Parameter],
    vectors: list[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    coupled: bool = False,
) -> torch.optim.Optimizer:
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    groups = [g for g in groups if g["params"]]
    # The fused step reads and writes each weight and moment once.
    kind = torch.optim.Adam if coupled else torch.optim.AdamW
    return with_peak_rates(kind(groups, lr=learning_rate, fused=True))
