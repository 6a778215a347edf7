"""One optimiser step on a parameter or a block of its rows, in place; its state is that of the torch optimiser.

The fused kernels take their numbers from here, so that checkpoints, rewiring and memory meters see one optimiser.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xmcbench.errors import ConfigError
from xmcbench.kernels.rounding import NARROW

RULES = ("sgd", "momentum", "adamw")


@dataclass(frozen=True)
class Update:
    """How a parameter moves at this step.

    rule: `sgd`, `momentum` (v ← μv + g; w ← w − ηv) or `adamw` (Loshchilov and Hutter 2019), decay decoupled in all.
    step: 1 at the first. first, second: moments of the parameter's shape (float32 or wider), or None.
    """

    rule: str
    rate: float
    decay: float = 0.0
    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    step: int = 1
    first: Tensor | None = None
    second: Tensor | None = None

    @property
    def corrections(self) -> tuple[float, float]:
        """AdamW's bias corrections 1 − β^step."""
        return 1 - self.beta1**self.step, 1 - self.beta2**self.step

    def as_column(self) -> "Update":
        """Return the update of a vector as that of a matrix of one column, with the same moments."""
        first, second = (None if m is None else m[:, None] for m in (self.first, self.second))
        return replace(self, first=first, second=second)

    def agrees_with(self, other: "Update") -> bool:
        """Tell whether both move by the same rule and constants, rate and decay aside."""
        constants = ("rule", "momentum", "beta1", "beta2", "epsilon", "step")
        return all(getattr(self, name) == getattr(other, name) for name in constants)

    @torch.no_grad()
    def apply(
        self,
        parameter: Tensor,
        gradient: Tensor,
        rows: slice = slice(None),
        generator: torch.Generator | None = None,
    ) -> None:
        """Update `parameter[rows]` with its gradient; narrow floats are written back with stochastic rounding.

        generator: source of the rounding (default: torch's own).
        """
        block = parameter[rows]
        wide = block.float() if block.dtype in NARROW else block
        gradient = gradient.to(wide.dtype)
        if self.decay:
            wide.mul_(1 - self.rate * self.decay)
        if self.rule == "sgd":
            wide.sub_(gradient, alpha=self.rate)
        elif self.rule == "momentum":
            assert self.first is not None
            moment = self.first[rows]
            moment.mul_(self.momentum).add_(gradient)
            wide.sub_(moment, alpha=self.rate)
        else:
            assert self.first is not None and self.second is not None
            first, second = self.first[rows], self.second[rows]
            first.lerp_(gradient, 1 - self.beta1)
            second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
            correction1, correction2 = self.corrections
            root = second.sqrt().div_(math.sqrt(correction2)).add_(self.epsilon)
            wide.addcdiv_(first, root, value=-self.rate / correction1)
        if wide is not block:
            block.copy_(NARROW[block.dtype](wide, generator))


def take_back(optimizer: torch.optim.Optimizer, *parameters: Tensor) -> None:
    """Let a step that `update_of` counted, and that was refused before anything was written, not have been."""
    for parameter in parameters:
        if "step" in optimizer.state[parameter]:
            optimizer.state[parameter]["step"] -= 1


def update_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Update:
    """Return this step's update of a parameter, and count the step; the state is made at the first.

    Understands torch's AdamW and SGD (with the decoupled decay of this package); others raise TypeError.
    """
    groups = [g for g in optimizer.param_groups if any(p is parameter for p in g["params"])]
    if not groups:
        raise ConfigError(
            f"{type(optimizer).__name__} does not hold the layer's parameter of shape {tuple(parameter.shape)}; "
            "allowed: an optimiser of this layer's own parameters"
        )
    group = groups[0]
    state = optimizer.state[parameter]

    def moment(name: str) -> Tensor:
        if name not in state or state[name] is None:
            wide = torch.float32 if parameter.dtype in NARROW else parameter.dtype
            state[name] = torch.zeros_like(parameter, dtype=wide, memory_format=torch.contiguous_format)
        found: Tensor = state[name]
        return found

    if isinstance(optimizer, torch.optim.AdamW):
        state.setdefault("step", torch.zeros((), dtype=torch.float32))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        return Update(
            "adamw",
            group["lr"],
            group["weight_decay"],
            beta1=beta1,
            beta2=beta2,
            epsilon=group["eps"],
            step=int(state["step"]),
            first=moment("exp_avg"),
            second=moment("exp_avg_sq"),
        )
    if isinstance(optimizer, torch.optim.SGD) and not group["nesterov"] and not group["dampening"]:
        decay = group.get("decoupled_decay", 0.0)
        if group["weight_decay"]:
            raise TypeError("SGD with coupled weight decay has no fused step; use decoupled decay")
        if group["momentum"]:
            return Update("momentum", group["lr"], decay, group["momentum"], first=moment("momentum_buffer"))
        return Update("sgd", group["lr"], decay)
    raise TypeError(f"{type(optimizer).__name__} has no fused step; allowed: AdamW, SGD")
