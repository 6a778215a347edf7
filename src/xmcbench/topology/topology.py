"""One rewire: prune the least important connections, regrow as many, and say what moved where.

Shapes: L labels, K fan-in, D features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from xmcbench.recipe import Topology as Recipe
from xmcbench.topology.candidates import Candidates, Gradient
from xmcbench.topology.distinct import BLOCK
from xmcbench.topology.rows import best, smallest
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
        self.ablation = recipe.ablation
        self.moments = recipe.moments
        self.channels = (recipe.removed_channels, recipe.kept_channels)
        self._seed = seed
        self._importance: Callable[[Tensor], Tensor] = import_module(
            f"xmcbench.topology.{recipe.drop}"
        ).importance
        self._grow: Any = import_module(f"xmcbench.topology.{recipe.grow}")

    def plan_rows(
        self,
        weight_LK: Tensor,
        index_LK: Tensor,
        features: int,
        step: int,
        gradient: Gradient | None = None,
    ) -> RowPlan:
        """Plan the rewiring of rows that keep their fan-in K (paper §2.1).

        index_LK: int64, distinct and rising. gradient: what gradient growth ranks by.
        What was just pruned is regrown only if a label has no other absent input.
        """
        dropped_LK = self.dropped(weight_LK, step)
        generator = self.generator(step)
        index_new, source, new = index_LK.clone(), torch.empty_like(index_LK), torch.empty_like(dropped_LK)
        for start in range(0, index_LK.shape[0], BLOCK):
            rows = slice(start, min(start + BLOCK, index_LK.shape[0]))
            index, dropped = index_LK[rows], dropped_LK[rows]
            score = self.growth(start, index.shape[0], features, generator, gradient).to(index.device)
            # Kept inputs can never be chosen again; pruned ones come last.
            score.scatter_(1, index, torch.where(dropped, -1.0, -2.0).to(score.dtype))
            count = max(1, int(dropped.sum(dim=1).max()))
            candidate = best(score, count, generator, self._grow.TIES)
            rank = (dropped.cumsum(dim=1) - 1).clamp_(min=0)
            moved = torch.where(dropped, candidate.gather(1, rank), index)
            index_new[rows], source[rows] = moved.sort(dim=1)
            new[rows] = dropped.gather(1, source[rows])
        return RowPlan(index_new, source, new, int(dropped_LK.sum()))

    def dropped(self, weight: Tensor, step: int) -> Tensor:
        """Mark the connections to prune, of rows (R×K) or of any one row of connections."""
        score = self._importance(weight.detach())
        threshold = self.schedule.threshold_at(step)
        if threshold is not None:
            return score < threshold
        return smallest(score, self.schedule.fraction(step), self.scope)

    def growth(
        self, first: int, rows: int, features: int, generator: torch.Generator, gradient: Gradient | None
    ) -> Tensor:
        """Return the growth score of every connection of a block of rows (R×D), at least 0."""
        scores: Tensor = self._grow.scores(Candidates(first, rows, features, generator, gradient))
        return scores

    def grown(self, score: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Return the places of the `count` connections of a flat score that grow."""
        return best(score[None], count, generator, self._grow.TIES)[0]

    def generator(self, step: int) -> torch.Generator:
        """Return the source of the random choices of the rewire after `step`."""
        return torch.Generator().manual_seed((self._seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)
