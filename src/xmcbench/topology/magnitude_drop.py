"""Magnitude pruning: the connections of smallest |w| go (SET, RigL, SRigL)."""

from torch import Tensor


def importance(weight: Tensor) -> Tensor:
    """Return the score of each existing connection; the lowest are pruned."""
    return weight.abs()
