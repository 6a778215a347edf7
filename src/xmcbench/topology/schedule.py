"""When a topology is rewired, and how large a fraction of it."""

import math
from dataclasses import dataclass

from xmcbench.recipe import Topology as Recipe


@dataclass(frozen=True)
class Schedule:
    """Every `interval` steps until `end`; the fraction is constant or decays with a half cosine to zero at `end`."""

    interval: int
    end: int
    start_fraction: float
    cosine: bool

    @classmethod
    def of(cls, recipe: Recipe, total_steps: int) -> "Schedule":
        """Turn shares of the whole training into steps."""
        end = int(recipe.end_share * total_steps)
        return cls(recipe.interval_steps, end, recipe.fraction, recipe.fraction_decay == "cosine")

    def due(self, step: int) -> bool:
        """Tell whether to rewire after `step` optimiser steps (the first step is 1)."""
        return 0 < step < self.end and step % self.interval == 0

    def fraction(self, step: int) -> float:
        """Return the share of connections that the rewire after `step` replaces."""
        if not self.cosine:
            return self.start_fraction
        return self.start_fraction * 0.5 * (1 + math.cos(math.pi * min(step, self.end) / max(self.end, 1)))
