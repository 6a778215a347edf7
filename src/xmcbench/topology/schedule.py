"""When a topology is rewired, and how much of it: a fraction of the connections, or all below a threshold."""

import math
from dataclasses import dataclass

from xmcbench.recipe import Topology as Recipe


@dataclass(frozen=True)
class Schedule:
    """Every `interval` steps until `end`. The amount is constant or falls with a half cosine until `end`.

    threshold: None to drop `start_fraction` of the connections (falling to 0), else |w| below which they go, from its
    first value to its last (paper §2.1, App. C).
    """

    interval: int
    end: int
    start_fraction: float
    cosine: bool
    threshold: tuple[float, float] | None = None

    @classmethod
    def of(cls, recipe: Recipe, total_steps: int) -> "Schedule":
        """Turn shares of the whole training into steps."""
        end = int(recipe.end_share * total_steps)
        threshold = (recipe.threshold, recipe.threshold_end) if recipe.amount == "threshold" else None
        return cls(recipe.interval_steps, end, recipe.fraction, recipe.fraction_decay == "cosine", threshold)

    def due(self, step: int) -> bool:
        """Tell whether to rewire after `step` optimiser steps (the first step is 1)."""
        return 0 < step < self.end and step % self.interval == 0

    def fraction(self, step: int) -> float:
        """Return the share of connections that the rewire after `step` replaces."""
        return self.start_fraction * self._fallen(step) if self.cosine else self.start_fraction

    def threshold_at(self, step: int) -> float | None:
        """Return |w| below which the rewire after `step` prunes; None if it prunes a fraction."""
        if self.threshold is None:
            return None
        first, last = self.threshold
        return last + (first - last) * self._fallen(step)

    def progress(self, step: int) -> float:
        """Return the share of the rewiring time that has passed, in [0, 1]."""
        return min(step, self.end) / max(self.end, 1)

    def _fallen(self, step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * self.progress(step)))
