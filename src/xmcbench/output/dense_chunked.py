"""The dense layer that never forms all scores: a chunk of labels at a time, weights updated in place (ELMO, Renee).

The strongest dense rival there is: with plain SGD a chunk takes three matrix products, of which the last one adds the
gradient straight into the weights. Memory beside weights and moments: B×chunk scores, and with momentum-free SGD no
gradient at all. On a GPU gradient product and update are one kernel for every rule, so that there the gradient never
exists, and bfloat16 weights are read as they lie (`kernels.narrow_product`). bfloat16 and E4M3 weights are written back with
stochastic rounding; arithmetic is float32 in both.
"""

import torch
from torch import Tensor, nn

from xmcbench.errors import NonFiniteError
from xmcbench.kernels import blocks, choose, operators
from xmcbench.kernels.blocks import CHUNK_BYTES, Loss
from xmcbench.kernels.narrow_product import add_product
from xmcbench.kernels.update import Update, update_of
from xmcbench.output.dense import Dense
from xmcbench.output.layer import StepResult
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.seeds import derive

#: Arrays of a chunk that writing narrow weights back takes: the wide weights, twice, the noise, and what becomes of them.
COPIES = {torch.bfloat16: 5, torch.float8_e4m3fn: 8}


class DenseChunked(Dense):
    """z = x Wᵀ + b, `chunk` labels at a time in training and in top-k."""

    reads = frozenset({"chunk", "backend", "weight_dtype"})

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        self.chunk = recipe.chunk
        self.backend = recipe.backend
        self.weight_LD = nn.Parameter(self.weight_LD.detach().to(getattr(torch, recipe.weight_dtype)))

    def labels_at_a_time(self, documents: int) -> int:
        """Return a chunk's labels: the recipe's on a CPU, whose caches it must fit.

        On a GPU a chunk costs some 25 launches of 10 µs each (bfloat16: 45), whatever its size, so that it is as large as
        `CHUNK_BYTES` of scores, and of weights that are made wide, allow.
        """
        if not self.weight_LD.is_cuda:
            return min(self.labels, self.chunk)
        widened = 0 if self._fuses(torch.float32) or self.weight_LD.dtype == torch.float32 else self.features
        return min(self.labels, max(1, CHUNK_BYTES // (4 * max(1, documents, widened))))

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
        self.require_features(x_BD)
        positives.require_within(len(x_BD), self.labels)
        x_BD = x_BD.detach()
        weight, bias = update_of(optimizer, self.weight_LD), update_of(optimizer, self.bias_L)
        generator = torch.Generator(x_BD.device).manual_seed(
            derive(int(self.bias_L.detach().view(torch.int32).sum()), "stochastic rounding")
        )
        if self._fuses(x_BD.dtype):
            return self._fused(
                x_BD.contiguous(), positives, loss, (weight, bias), scale, generator.initial_seed()
            )
        grad_x_BD = torch.zeros_like(x_BD)
        value, zeros, chunk = 0.0, 0, self.labels_at_a_time(len(x_BD))
        for first in range(0, self.labels, chunk):
            rows = slice(first, min(first + chunk, self.labels))
            weight_lD = self.weight_LD[rows].to(x_BD.dtype)
            z_Bl = torch.addmm(self.bias_L[rows], x_BD, weight_lD.t())
            its = blocks.block_positives(positives, rows.start, rows.stop)
            term, gradient_Bl = loss.in_place(z_Bl, its)
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
            del z_Bl, gradient_Bl  # one chunk's scores exist, not also those of the last one
        return StepResult(value, grad_x_BD, zeros / (len(x_BD) * self.labels))

    def _scores(self, x_BD: Tensor, rows: slice) -> Tensor:
        """Return z_Bl; where steps are fused, bfloat16 weights are never made wide, as `labels_at_a_time` counts on."""
        weight_lD, bias_l = self.weight_LD[rows], self.bias_L[rows]
        if weight_lD.dtype == torch.bfloat16 and self._fuses(x_BD.dtype):
            return add_product(bias_l.repeat(len(x_BD), 1), x_BD, weight_lD.t())
        return nn.functional.linear(x_BD, weight_lD.to(x_BD.dtype), bias_l)

    def _fuses(self, dtype: torch.dtype) -> bool:
        # `cpu` means nothing to a dense layer, so it is not asked whether it can run.
        if self.backend not in ("auto", "triton") or dtype != torch.float32:
            return False
        if self.weight_LD.dtype == torch.float8_e4m3fn:  # simulated: no kernel of ours reads it
            return False
        return choose(self.backend, self.weight_LD.device, self.weight_LD.dtype) == "triton"

    def _fused(
        self,
        x_BD: Tensor,
        positives: Positives,
        loss: Loss,
        updates: tuple[Update, Update],
        scale: float,
        key: int,
    ) -> StepResult:
        """Take the step on a GPU: gradient product and update are one kernel, and the host waits twice, not per chunk."""
        chunk = self.labels_at_a_time(len(x_BD))
        starts = range(0, self.labels, chunk)
        label_P, row_P = positives.by_label()
        narrow = self.weight_LD.dtype == torch.bfloat16
        edges = torch.tensor([*starts, self.labels], device=label_P.device)
        bounds = torch.searchsorted(label_P, edges).tolist()
        grad_x_BD, one_B1 = torch.zeros_like(x_BD), x_BD.new_ones(len(x_BD), 1)
        terms, sounds, nonzeros = [], [], []
        for first, begin, end in zip(starts, bounds[:-1], bounds[1:], strict=True):
            rows = slice(first, min(first + chunk, self.labels))
            weight_lD = self.weight_LD[rows]
            z_Bl = self._scores(x_BD, rows)
            its = Positives(positives.documents, row_P[begin:end], label_P[begin:end] - first)
            term, gradient_Bl = loss.in_place(z_Bl, its)
            sound = torch.isfinite(gradient_Bl.sum())
            terms.append(term)
            sounds.append(sound)
            nonzeros.append(torch.count_nonzero(gradient_Bl))
            if scale != 1:
                gradient_Bl.mul_(scale)
            if narrow:
                add_product(grad_x_BD, gradient_Bl, weight_lD)
            else:
                grad_x_BD.addmm_(gradient_Bl, weight_lD)
            # A chunk that is not sound writes nothing, neither weights nor bias (whose one feature is 1).
            if self._adds_up(updates[0]):
                gradient_Bl.masked_fill_(~sound, 0.0)
                self._add_product(rows, gradient_Bl, x_BD, updates[0])
            else:
                operators.gpu().dense_update(
                    x_BD, gradient_Bl, self.weight_LD[rows], updates[0], sound, first, key
                )
            operators.gpu().dense_update(
                one_B1, gradient_Bl, self.bias_L[rows, None], updates[1].as_column(), sound, first, key
            )
            del z_Bl, gradient_Bl
        found = [torch.stack(of_chunks).double() for of_chunks in (terms, nonzeros, sounds)]
        value_C, nonzero_C, sound_C = torch.stack(found).tolist()
        for first, well in zip(starts, sound_C, strict=True):
            if not well:
                raise NonFiniteError(
                    f"output layer: a gradient of labels {first} … {min(first + chunk, self.labels) - 1} "
                    "is not finite; they were left as they were"
                )
        return StepResult(sum(value_C), grad_x_BD, 1 - sum(nonzero_C) / (len(x_BD) * self.labels))

    def _adds_up(self, update: Update) -> bool:
        """Tell whether the update is one sum of products, which the library adds into the weights faster than our kernel."""
        return (
            update.rule == "sgd" and not update.rate * update.decay and self.weight_LD.dtype == torch.float32
        )

    def _update(
        self, rows: slice, gradient_Bl: Tensor, x_BD: Tensor, update: Update, generator: torch.Generator
    ) -> None:
        if update.rule == "sgd" and self.weight_LD.dtype == x_BD.dtype:
            self._add_product(rows, gradient_Bl, x_BD, update)
        else:
            update.apply(self.weight_LD, gradient_Bl.t() @ x_BD, rows, generator)

    def _add_product(self, rows: slice, gradient_Bl: Tensor, x_BD: Tensor, update: Update) -> None:
        """Take a step of plain SGD: one sum of products, which never forms the gradient."""
        keep = 1 - update.rate * update.decay
        self.weight_LD.data[rows].addmm_(gradient_Bl.t(), x_BD, beta=keep, alpha=-update.rate)

    @torch.no_grad()
    def top_k(self, x_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        def scores_of(first: int, last: int) -> Tensor:
            return self._scores(x_BD, slice(first, last))

        return blocks.top_k(scores_of, self.labels, k, self.labels_at_a_time(len(x_BD)))

    def memory(self, optimizer: torch.optim.Optimizer | None = None, batch: int = 0) -> dict[str, int]:
        kinds = super().memory(optimizer, batch)
        chunk = self.labels_at_a_time(batch)
        # Plain SGD adds the product straight into float32 weights; every other rule forms one chunk's gradient.
        plain = isinstance(optimizer, torch.optim.SGD) and not optimizer.defaults["momentum"]
        narrow = self.weight_LD.dtype != torch.float32
        kinds["gradient"] = 0 if plain and not narrow else chunk * self.features * 4
        on_gpu = self.weight_LD.is_cuda and self._fuses(torch.float32)
        if on_gpu:
            kinds["gradient"] = 0  # it exists in registers alone
        if batch:
            kinds["scores"] = batch * chunk * 4
            copies = 0 if plain or on_gpu else 1  # AdamW's root; momentum needs no more
            if narrow and not on_gpu:
                copies = COPIES[self.weight_LD.dtype]
            kinds["scratch"] = (copies * chunk + batch) * self.features * 4
            if narrow and on_gpu:  # what is left of the gradients, and their part in bfloat16
                kinds["scratch"] += batch * chunk * 6
        return kinds


LAYER = DenseChunked
