"""Gradient regrowth: the absent inputs whose weight would move most (RigL; Evci et al. 2020)."""

from torch import Tensor

from xmcbench.errors import ConfigError
from xmcbench.topology.candidates import Candidates

#: A label whose scores are all easy has no gradient at all: equals are chosen among at random, as SET would.
TIES = True


def scores(candidates: Candidates) -> Tensor:
    """Return |∂loss/∂w| of every connection of a block of rows (R×D); the highest are grown.

    Raises ConfigError if the caller gave no batch to take gradients of.
    """
    if candidates.gradient is None:
        raise ConfigError("topology.grow: gradient_growth needs a training batch; allowed: random_growth")
    return candidates.gradient(candidates.first, candidates.first + candidates.rows).abs()
