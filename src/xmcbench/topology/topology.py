"""One rewire: prune the least important connections, regrow as many, and say what moved where.

Shapes: L labels, K fan-in, D features.
"""

from collections.abc import Callable, Iterator
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
    """The rewiring of a block of fixed fan-in rows, from row `first` on.

    index_RK: the new inputs (int64), distinct and rising. source_RK: the old slot that each new slot's weight comes from.
    new_RK: slots that are new connections, whose weight and moments start at zero.
    """

    first: int
    index_RK: Tensor
    source_RK: Tensor
    new_RK: Tensor

    @property
    def rows(self) -> slice:
        """The rows that are planned."""
        return slice(self.first, self.first + len(self.index_RK))


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
    ) -> Iterator[RowPlan]:
        """Plan the rewiring of rows that keep their fan-in K (paper §2.1), a block of rows at a time.

        index_LK: distinct and rising. gradient: what gradient growth ranks by. A plan may be carried out as soon as it is
        there; no array of all rows is made. What was just pruned is regrown only if a label has no other absent input.
        """
        blocks = [slice(first, first + BLOCK) for first in range(0, len(index_LK), BLOCK)]
        marks = self._dropped_by_block(weight_LK, blocks, step)
        generator = self.generator(step, index_LK.device)
        for rows, dropped in zip(blocks, marks, strict=True):
            index = index_LK[rows].to(torch.int64)
            score = self.growth(rows.start, len(index), features, generator, gradient).to(index.device)
            # Kept inputs can never be chosen again; pruned ones come last.
            score.scatter_(1, index, torch.where(dropped, -1.0, -2.0).to(score.dtype))
            count = max(1, int(dropped.sum(dim=1).max()))
            candidate = best(score, count, generator, self._grow.TIES)
            rank = (dropped.cumsum(dim=1) - 1).clamp_(min=0)
            moved = torch.where(dropped, candidate.gather(1, rank), index)
            index_new, source = moved.sort(dim=1)
            yield RowPlan(rows.start, index_new, source, dropped.gather(1, source))

    def _dropped_by_block(self, weight_LK: Tensor, blocks: list[slice], step: int) -> Iterator[Tensor]:
        """Yield what `dropped` says of all rows, a block at a time; a block's weights are read when it is asked for."""
        if self.scope == "label" or self.schedule.threshold_at(step) is not None:
            for rows in blocks:
                yield self.dropped(weight_LK[rows], step)
            return
        # One bit a connection of all rows: what a block loses depends on the others, whose weights are still there.
        dropped_LK = self.dropped(weight_LK, step)
        for rows in blocks:
            yield dropped_LK[rows]

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

    def generator(self, step: int, device: torch.device) -> torch.Generator:
        """Return the source of the random choices of the rewire after `step`; a GPU draws its own, other numbers."""
        return torch.Generator(device).manual_seed((self._seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)
