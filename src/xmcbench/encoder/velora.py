"""VeLoRA: a linear layer keeps one number in place of each sub-token of its input (Miles et al., NeurIPS 2024).

What a linear layer saves for its weight gradient is its input. Here every D-dimensional row is cut into G sub-tokens of
D/G, and of each only its product with one fixed unit vector stays: D/G times less. Output and input gradient are exact;
the weight gradient is that of the inputs' projections. Shapes: N rows, D inputs, E outputs, G sub-tokens a row, S = D/G.
"""

from typing import Any

import torch
from torch import Tensor, nn

from xmcbench.errors import ConfigError, allowed
from xmcbench.recipe import Velora as Recipe


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, weight_ED: Tensor, bias_E: Tensor | None, basis_S: Tensor) -> Tensor:
        sub_NGS = x_ND.reshape(len(x_ND), -1, len(basis_S))
        ctx.save_for_backward(sub_NGS @ basis_S, weight_ED, basis_S)
        ctx.has_bias = bias_E is not None
        return nn.functional.linear(x_ND, weight_ED, bias_E)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (grad_NE,) = gradients
        scalar_NG, weight_ED, basis_S = ctx.saved_tensors
        again_ND = (scalar_NG[:, :, None] * basis_S).flatten(1)
        bias = grad_NE.sum(dim=0) if ctx.has_bias else None
        return grad_NE @ weight_ED, grad_NE.t() @ again_ND, bias, None


class VeloraLinear(nn.Module):
    """A linear layer with compressed saved activations; the vector is the mean sub-token of its first training batch."""

    def __init__(self, linear: nn.Linear, sub_tokens: int) -> None:
        """sub_tokens: G; D must be a multiple of it."""
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.basis_S: Tensor
        self.ready: Tensor
        self.register_buffer("basis_S", torch.zeros(linear.in_features // sub_tokens))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        x_ND = x.reshape(-1, x.shape[-1])
        if self.training and not bool(self.ready):
            self._fix_basis(x_ND.detach())
        out_NE: Tensor = _Project.apply(x_ND, self.weight, self.bias, self.basis_S)  # type: ignore[no-untyped-call]
        return out_NE.reshape(*x.shape[:-1], -1)

    @torch.no_grad()
    def _fix_basis(self, x_ND: Tensor) -> None:
        mean_S = x_ND.reshape(-1, len(self.basis_S)).mean(dim=0)
        norm = mean_S.norm()
        # A batch of zeros has no direction; any will do, and it must not be the zero vector.
        self.basis_S.copy_(mean_S / norm if float(norm) > 0 else torch.full_like(mean_S, len(mean_S) ** -0.5))
        self.ready.fill_(True)


def compress(module: nn.Module, recipe: Recipe) -> None:
    """Replace the linear layers that `recipe.layers` names (by the end of their names) by compressed ones, in place.

    Raises ConfigError for a name that fits none, or inputs that G does not divide.
    """
    linears = {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    for wanted in recipe.layers:
        fitting = [name for name in linears if name == wanted or name.endswith(f".{wanted}")]
        if not fitting:
            ends = sorted({".".join(name.split(".")[-2:]) for name in linears})
            raise ConfigError(f"encoder.velora.layers: no linear layer {wanted!r}; {allowed(ends)}")
        for name in fitting:
            linear = linears.pop(name)
            if linear.in_features % recipe.sub_tokens:
                raise ConfigError(
                    f"encoder.velora.sub_tokens: {recipe.sub_tokens} does not divide the {linear.in_features} "
                    f"inputs of {name}; allowed: a divisor"
                )
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, VeloraLinear(linear, recipe.sub_tokens))
