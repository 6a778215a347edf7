"""Gradients of a module as one long vector: its length, and the angle between two; rows of embeddings may be sparse."""

import math

import torch
from torch import Tensor, nn

Gradients = list[Tensor | None]


def gradients_of(module: nn.Module) -> Gradients:
    """Return a module's gradients, in the order of its parameters."""
    return [p.grad for p in module.parameters()]


def norm(gradients: Gradients) -> float:
    """Return the 2-norm of gradients; rows of a sparse gradient that occur twice are added first."""
    return math.sqrt(sum(float(_values(g).norm()) ** 2 for g in gradients if g is not None))


def finite(value: float) -> float | None:
    """Return a number, or None for one that a file of JSON cannot hold: a norm of scaled gradients may overflow."""
    return value if math.isfinite(value) else None


def cosine(ours: Gradients, theirs: Gradients) -> float | None:
    """Return the cosine of the angle between two gradients of the same parameters; None if either is zero or not finite."""
    length = norm(ours) * norm(theirs)
    if length == 0 or not math.isfinite(length):
        return None
    return sum(_product(a, b) for a, b in zip(ours, theirs, strict=True)) / length


def _product(a: Tensor | None, b: Tensor | None) -> float:
    if a is None or b is None:
        return 0.0
    if a.is_sparse and b.is_sparse:
        a, b = a.coalesce(), b.coalesce()
        # Both are of the same tokens as a rule; where they are not, the rows that one lacks are zero.
        if torch.equal(a.indices(), b.indices()):
            return float((a.values() * b.values()).sum())
        return float((a * b).coalesce().values().sum())
    return float((_dense(a) * _dense(b)).sum())


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient
