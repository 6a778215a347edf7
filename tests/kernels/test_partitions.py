"""Labels are worked on in partitions by several threads; what is summed, and in which order, must not show it."""

import pytest
import torch

from xmcbench.kernels import native, operators

from . import cases
from .cases import Case, assert_bits, make

MODULE = native()
if MODULE is None:
    pytest.skip("the package was built without its CPU kernels", allow_module_level=True)

#: Sixteen partitions: as many as there are at most, and so many labels that each has a number of its own.
PARTITIONS, LABELS = 16, 1024


@pytest.mark.parametrize("group", [1, 8])
@pytest.mark.parametrize("threads", [1, 2, 3, 8, 32])
def test_the_sums_of_partitions_are_added_in_their_order(threads: int, group: int) -> None:
    case = make(20, 12, PARTITIONS * LABELS, 3, group=group)
    weight_LK, index_HK, bias_L = case.weight_LK, case.index_HK, case.bias_L
    grad_LB = torch.randn(PARTITIONS * LABELS, 20, generator=torch.Generator().manual_seed(0)) ** 3

    def gradient(first: int, last: int) -> torch.Tensor:
        rows = slice(first // group, last // group)
        some = (
            weight_LK[first:last].contiguous(),
            index_HK[rows].contiguous(),
            bias_L[first:last].contiguous(),
        )
        return operators.scores_backward(grad_LB[first:last], case.x_BD.t(), *some, group, "cpu")[0]

    expected = gradient(0, LABELS)
    for p in range(1, PARTITIONS):
        expected = expected + gradient(p * LABELS, (p + 1) * LABELS)
    torch.set_num_threads(threads)
    try:
        found = [gradient(0, PARTITIONS * LABELS) for _ in range(5)]
    finally:
        torch.set_num_threads(2)
    assert all(torch.equal(one, expected) for one in found)


@pytest.mark.parametrize("busy", [0, 7, 15], ids="only partition {} has work".format)
def test_one_slow_partition_changes_nothing_and_nobody_waits_for_ever(busy: int) -> None:
    """All other sums are complete long before its own: more than have a buffer."""
    base = make(64, 12, PARTITIONS * LABELS, 8, positive_share=0.0)
    bias_L = torch.full(
        (PARTITIONS * LABELS,), -30.0
    )  # easy negatives of the squared hinge: their work is skipped
    bias_L[busy * LABELS : (busy + 1) * LABELS] = 0.0
    case = Case(base.x_BD, base.weight_LK * 0.1, base.index_HK, bias_L, base.y_BL)
    ends = []
    for threads in (1, 2, 8):
        torch.set_num_threads(threads)
        ends += [cases.fused(case, "squared_hinge", "sgd") for _ in range(5)]
    torch.set_num_threads(2)
    assert ends[0]["skipped"] == (PARTITIONS - 1) * LABELS
    for number, end in enumerate(ends[1:], 1):
        assert_bits(end, ends[0], number)
