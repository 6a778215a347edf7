"""One rewire: prune the least important connections, regrow as many, and say what moved where.

Shapes: L labels, K fan-in, D features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor

from xmcbench.recipe import Topology as Recipe
from xmcbench.topology.distinct import BLOCK
from xmcbench.topology.schedule import Schedule


@dataclass(frozen=True)
class RewireReport:
    """How many connections were pruned and regrown; `grown` marks the new ones where a layer keeps a mask."""

    pruned: int
    regrown: int
    grown: Tensor | None = None


@dataclass(frozen=True)
class RowPlan:
    """The rewiring of fixed fan-in rows.

    index_LK: the new inputs, distinct and rising. source_LK: the old slot that each new slot's weight comes from.
    new_LK: slots that are new connections, whose weight and moments start at zero. pruned: how many they are.
    """

    index_LK: Tensor
    source_LK: Tensor
    new_LK: Tensor
    pruned: int


class Topology:
    """A schedule with a drop and a grow rule; draws are a function of (seed, step), so a resumed run repeats them."""

    def __init__(self, recipe: Recipe, total_steps: int, seed: int) -> None:
        self.schedule = Schedule.of(recipe, total_steps)
        self.scope = recipe.scope
        self._seed = seed
        self._importance: Callable[[Tensor], Tensor] = import_module(
            f"xmcbench.topology.{recipe.drop}"
        ).importance
        self._growth: Callable[[int, int, torch.Generator], Tensor] = import_module(
            f"xmcbench.topology.{recipe.grow}"
        ).scores

    def plan_rows(self, weight_LK: Tensor, index_LK: Tensor, features: int, step: int) -> RowPlan:
        """Plan the rewiring of rows that keep their fan-in K (paper §2.1).

        index_LK: int64, distinct and rising. What was just pruned is regrown only if a label has no other absent input.
        """
        dropped_LK = self._dropped(weight_LK, step)
        generator = self._generator(step)
        index_new, source, new = index_LK.clone(), torch.empty_like(index_LK), torch.empty_like(dropped_LK)
        for start in range(0, index_LK.shape[0], BLOCK):
            rows = slice(start, min(start + BLOCK, index_LK.shape[0]))
            index, dropped = index_LK[rows], dropped_LK[rows]
            score = self._growth(index.shape[0], features, generator).to(index.device)
            # Kept inputs can never be chosen again; pruned ones come last.
            score.scatter_(1, index, torch.where(dropped, -1.0, -2.0).to(score.dtype))
            candidate = score.topk(max(1, int(dropped.sum(dim=1).max())), dim=1).indices
            rank = (dropped.cumsum(dim=1) - 1).clamp_(min=0)
            moved = torch.where(dropped, candidate.gather(1, rank), index)
            index_new[rows], source[rows] = moved.sort(dim=1)
            new[rows] = dropped.gather(1, source[rows])
        return RowPlan(index_new, source, new, int(dropped_LK.sum()))

    def rewire_mask(self, weight_LD: Tensor, mask_LD: Tensor, step: int) -> RewireReport:
        """Rewire an unstructured mask in place; the number of connections of the whole layer is constant."""
        active = mask_LD.view(-1).nonzero().flatten()
        score = self._importance(weight_LD.reshape(-1)[active])
        count = int(self.schedule.fraction(step) * active.numel())
        dropped = active[torch.sort(score, stable=True).indices[:count]]
        growth = (
            self._growth(mask_LD.shape[0], mask_LD.shape[1], self._generator(step))
            .to(mask_LD.device)
            .view(-1)
        )
        growth[active] = -2.0
        growth[dropped] = -1.0
        grown = growth.topk(count).indices
        flat = mask_LD.view(-1)
        flat[dropped] = False
        flat[grown] = True
        grown_LD = torch.zeros_like(mask_LD)
        grown_LD.view(-1)[grown] = True
        return RewireReport(count, count, grown_LD)

    def _dropped(self, weight_LK: Tensor, step: int) -> Tensor:
        """Mark the slots to prune: the smallest of each label, or of the whole layer. Ties go to the earlier slot."""
        score = self._importance(weight_LK.detach())
        fraction = self.schedule.fraction(step)
        if self.scope == "label":
            count = int(fraction * score.shape[1])
            order = torch.sort(score, dim=1, stable=True).indices[:, :count]
            return torch.zeros_like(score, dtype=torch.bool).scatter_(1, order, True)
        count = int(fraction * score.numel())
        order = torch.sort(score.reshape(-1), stable=True).indices[:count]
        dropped = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
        dropped[order] = True
        return dropped.view_as(score)

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed((self._seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)
