"""The dense layer that never forms all scores: a chunk of labels at a time, weights updated in place (ELMO, Renee).

The strongest dense rival there is: with plain SGD a chunk takes three matrix products, of which the last one adds the
gradient straight into the weights. Memory beside weights and moments: B×chunk scores, and with momentum-free SGD no
gradient at all. bfloat16 weights are written back with stochastic rounding.
"""

import torch
from torch import Tensor, nn

from xmcbench.errors import NonFiniteError
from xmcbench.kernels import blocks
from xmcbench.kernels.blocks import Loss
from xmcbench.kernels.update import Update, update_of
from xmcbench.output.dense import Dense
from xmcbench.output.layer import StepResult
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.seeds import derive


class DenseChunked(Dense):
    """z = x Wᵀ + b, `chunk` labels at a time in training and in top-k."""

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.chunk = recipe.chunk
        self.weight_LD = nn.Parameter(self.weight_LD.detach().to(getattr(torch, recipe.weight_dtype)))

    def forward(self, x_BD: Tensor) -> Tensor:
        return nn.functional.linear(x_BD, self.weight_LD.to(x_BD.dtype), self.bias_L)

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
        x_BD = x_BD.detach()
        weight, bias = update_of(optimizer, self.weight_LD), update_of(optimizer, self.bias_L)
        generator = torch.Generator(x_BD.device).manual_seed(
            derive(int(self.bias_L.detach().view(torch.int32).sum()), "stochastic rounding")
        )
        grad_x_BD = torch.zeros_like(x_BD)
        value, zeros = 0.0, 0
        for first in range(0, self.labels, self.chunk):
            rows = slice(first, min(first + self.chunk, self.labels))
            weight_lD = self.weight_LD[rows].to(x_BD.dtype)
            z_Bl = torch.addmm(self.bias_L[rows], x_BD, weight_lD.t())
            its = blocks.block_positives(positives, rows.start, rows.stop)
            term, gradient_Bl = loss.value_and_gradient(z_Bl, its)
            if not torch.isfinite(gradient_Bl.sum()):
                raise NonFiniteError(
                    f"output layer: a gradient of labels {rows.start} … {rows.stop - 1} is not finite; "
                    "they were left as they were"
                )
            value += float(term)
            zeros += gradient_Bl.numel() - int(torch.count_nonzero(gradient_Bl))
            gradient_Bl.mul_(scale)
            grad_x_BD.addmm_(gradient_Bl, weight_lD)
            self._update(rows, gradient_Bl, x_BD, weight, generator)
            bias.apply(self.bias_L, gradient_Bl.sum(dim=0), rows)
        return StepResult(value, grad_x_BD, zeros / (len(x_BD) * self.labels))

    def _update(
        self, rows: slice, gradient_Bl: Tensor, x_BD: Tensor, update: Update, generator: torch.Generator
    ) -> None:
        if update.rule == "sgd" and self.weight_LD.dtype == x_BD.dtype:
            keep = 1 - update.rate * update.decay
            self.weight_LD.data[rows].addmm_(gradient_Bl.t(), x_BD, beta=keep, alpha=-update.rate)
        else:
            update.apply(self.weight_LD, gradient_Bl.t() @ x_BD, rows, generator)

    @torch.no_grad()
    def top_k(self, x_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        def scores_of(first: int, last: int) -> Tensor:
            rows = slice(first, last)
            return nn.functional.linear(x_BD, self.weight_LD[rows].to(x_BD.dtype), self.bias_L[rows])

        return blocks.top_k(scores_of, self.labels, k, self.chunk)

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        chunk = min(self.chunk, self.labels)
        # Plain SGD adds the product straight into float32 weights; every other rule forms one chunk's gradient.
        plain = isinstance(optimizer, torch.optim.SGD) and not optimizer.defaults["momentum"]
        narrow = self.weight_LD.dtype != torch.float32
        kinds["gradient"] = 0 if plain and not narrow else chunk * self.features * 4
        if batch:
            kinds["scores"] = batch * chunk * 4
            if narrow:
                kinds["scratch"] = chunk * self.features * 4
        return kinds


LAYER = DenseChunked
