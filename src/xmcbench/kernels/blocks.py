"""The fused step and top-k through torch operations, a block of labels at a time: any device, any floating dtype.

The scores of one block exist, never those of all labels. This is what runs without the C++ kernels.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from xmcbench.errors import NonFiniteError, ShapeError
from xmcbench.positives import Positives

#: Bytes of a chunk that exist on a GPU at a time, where any do: scores, their loss or gradients, and what is sorted.
CHUNK_BYTES = 32 << 20
#: Gathered features that `bag_backward` holds at a time (elements).
GATHERED = 4 << 20


class Loss(Protocol):
    """A loss that is a sum over outputs, so that blocks of labels can be taken one after another."""

    name: str

    def value_and_gradient(self, z_BL: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
        """Return the loss (summed over labels, divided by B) and its gradient by z_BL."""
        ...

    def in_place(self, z_BL: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
        """Return the same, the gradient written where the scores were."""
        ...


def rows_of_labels(index_HK: Tensor, group: int, labels: int) -> Tensor:
    """Return index_LK: the row of its group for every label."""
    if group == 1:
        return index_HK
    wide = index_HK.to(torch.int32) if index_HK.dtype == torch.uint16 else index_HK
    return wide.repeat_interleave(group, dim=0)[:labels]


def bag_scores(x_DB: Tensor, weight_LK: Tensor, index_LK: Tensor, bias_L: Tensor) -> Tensor:
    """Return z_LB: features are the table of an embedding bag, a label's inputs a bag; differentiable."""
    z_LB = torch.nn.functional.embedding_bag(
        index_LK.to(torch.int32), x_DB, mode="sum", per_sample_weights=weight_LK.to(x_DB.dtype)
    )
    return z_LB + bias_L[:, None]


def bag_backward(
    grad_z_LB: Tensor, x_DB: Tensor, weight_LK: Tensor, index_LK: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `bag_scores` by x_DB, weight_LK and bias_L, some labels at a time."""
    grad_x_DB = torch.zeros_like(x_DB, memory_format=torch.contiguous_format)
    grad_weight_LK = torch.empty_like(weight_LK, memory_format=torch.contiguous_format)
    at_a_time = max(1, GATHERED // (weight_LK.shape[1] * x_DB.shape[1]))
    for first in range(0, weight_LK.shape[0], at_a_time):
        rows = slice(first, first + at_a_time)
        index_lK, grad_z_lB = index_LK[rows].to(torch.int64), grad_z_LB[rows]
        read_lKB = x_DB[index_lK]
        grad_weight_LK[rows] = torch.bmm(read_lKB, grad_z_lB[:, :, None]).squeeze(-1)
        spread_lKB = weight_LK[rows].to(x_DB.dtype)[:, :, None] * grad_z_lB[:, None, :]
        grad_x_DB.index_add_(0, index_lK.flatten(), spread_lKB.flatten(0, 1))
    return grad_x_DB, grad_weight_LK, grad_z_LB.sum(dim=1)


def block_positives(positives: Positives, first: int, last: int) -> Positives:
    """Return the pairs whose label lies in [first, last), numbered from 0."""
    inside = (positives.label_P >= first) & (positives.label_P < last)
    return Positives(positives.documents, positives.row_P[inside], positives.label_P[inside] - first)


def top_k(scores_of: Callable[[int, int], Tensor], labels: int, k: int, block: int) -> tuple[Tensor, Tensor]:
    """Return the k best of all labels from `scores_of(first, last)` → z_Bl; ties go to the smaller label.

    Surplus places (L < k) hold −inf and label −1.
    """
    require_places(k)
    score_Bk: Tensor | None = None
    label_Bk = torch.empty(0)
    for first in range(0, labels, block):
        z_Bl = scores_of(first, min(first + block, labels))
        score, label = _best(z_Bl, min(k, z_Bl.shape[1]))
        label = label + first
        if score_Bk is None:
            score_Bk, label_Bk = score, label
        else:
            # What came before stands in front, and the sort is stable: the smaller label wins a tie.
            score, label = torch.cat([score_Bk, score], 1), torch.cat([label_Bk, label], 1)
            order = torch.sort(score, dim=1, descending=True, stable=True).indices[:, :k]
            score_Bk, label_Bk = score.gather(1, order), label.gather(1, order)
    assert score_Bk is not None
    if (missing := k - score_Bk.shape[1]) > 0:
        score_Bk = torch.nn.functional.pad(score_Bk, (0, missing), value=float("-inf"))
        label_Bk = torch.nn.functional.pad(label_Bk, (0, missing), value=-1)
    return score_Bk, label_Bk


#: What a fused step says of a batch that it refused.
UNSOUND = "output layer: features x_BD are not finite; nothing was updated"


def require_sound(x: Tensor, positives: Positives, labels: int) -> None:
    """Raise ShapeError if a pair lies outside documents × labels, NonFiniteError if a feature (any layout) is not finite."""
    positives.require_within(positives.documents, labels)
    if not torch.isfinite(x.sum()):
        raise NonFiniteError(UNSOUND)


def require_places(k: int) -> None:
    """Raise ShapeError unless so many best labels can be asked for."""
    if k < 1:
        raise ShapeError(f"top_k: k is {k}; allowed: 1 or more")


def _best(z_Bl: Tensor, width: int) -> tuple[Tensor, Tensor]:
    score_Bk, label_Bk = torch.topk(z_Bl, width, dim=1, sorted=True)
    # Which of several equal scores `topk` keeps is not said; rows where it matters are sorted stably.
    tied = (z_Bl >= score_Bk[:, -1:]).sum(dim=1) > width
    for row in tied.nonzero().flatten().tolist():
        order = torch.sort(z_Bl[row], descending=True, stable=True).indices[:width]
        label_Bk[row], score_Bk[row] = order, z_Bl[row, order]
    rank = torch.argsort(label_Bk, dim=1, stable=True)
    score_Bk, label_Bk = score_Bk.gather(1, rank), label_Bk.gather(1, rank)
    rank = torch.sort(score_Bk, dim=1, descending=True, stable=True).indices
    return score_Bk.gather(1, rank), label_Bk.gather(1, rank)
