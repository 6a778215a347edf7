"""The Triton kernels against the truth, on odd shapes: in triton's interpreter, or on a GPU where there is one.

A program takes about 5 ms in the interpreter, so there are at most 100 of them in a case.
"""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmcbench.errors import KernelError
from xmcbench.kernels import operators, reference

pytest.importorskip("triton")
from xmcbench.kernels.triton import host, shapes

from .cases import Case, make, truth
from .triton_cases import (
    EXAMPLES,
    NARROW,
    ODD,
    ON_GPU,
    assert_same,
    fused,
    moved,
    small_cases,
)

#: The interpreter's numpy speaks of overflows where a GPU says nothing.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("loss", operators.LOSSES)
@EXAMPLES
@given(case=small_cases(), weighted=st.booleans(), deterministic=st.booleans())
def test_the_fused_step_is_the_truth(
    loss: str, rule: str, device: torch.device, case: Case, weighted: bool, deterministic: bool
) -> None:
    label_weight = torch.linspace(0.5, 2.0, len(case.bias_L)) if weighted else None
    expected = truth(case, loss, rule, label_weight=label_weight)
    label_weight = None if label_weight is None else label_weight.to(device)
    torch.use_deterministic_algorithms(deterministic)
    ours = fused(moved(case, device), loss, rule, label_weight=label_weight)
    torch.use_deterministic_algorithms(False)
    assert_same(ours, expected, case)
    assert ours["bad"] == -1


@pytest.mark.parametrize(
    "case", ODD, ids=lambda c: "×".join(map(str, (*c.y_BL.shape, c.weight_LK.shape[1], c.group)))
)
def test_odd_shapes(case: Case, way: str, device: torch.device) -> None:
    assert_same(fused(moved(case, device), "bce", "adamw"), truth(case, "bce", "adamw"), case)


@EXAMPLES
@given(case=small_cases())
def test_forward_and_backward_are_the_truth(way: str, device: torch.device, case: Case) -> None:
    x, w, b = (t.float().clone().requires_grad_(True) for t in (case.x_BD, case.weight_LK, case.bias_L))
    expected = reference.scores(x, w, case.index_LK, b)
    weights = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    grads = torch.autograd.grad((expected * weights).sum(), (x, w, b))
    there = moved(case, device)
    loose = (
        {"rtol": 2e-2, "atol": 5e-2}
        if ON_GPU and case.weight_LK.dtype == NARROW
        else {"rtol": 1e-4, "atol": 1e-4}
    )
    z_LB = operators.scores(there.x_BD.t(), *there.layer, "triton")
    torch.testing.assert_close(z_LB.t().cpu(), expected, **loose)
    ours = host.backward(weights.t().contiguous().to(device), there.x_BD.t().contiguous(), *there.layer)
    for found, wanted in zip((ours[0].t(), *ours[1:]), grads, strict=True):
        torch.testing.assert_close(found.cpu(), wanted, **loose)


@EXAMPLES
@given(case=small_cases(), k=st.integers(1, 12))
def test_top_k_is_exact_and_ties_go_to_the_smaller_label(device: torch.device, case: Case, k: int) -> None:
    # Whole numbers: scores are exact, and ties are many, also of −0 with +0.
    case = dataclasses.replace(
        case,
        x_BD=case.x_BD.round(),
        weight_LK=(case.weight_LK.float() * 2).round(),
        bias_L=case.bias_L.round(),
    )
    score, label = reference.top_k(reference.scores(case.x_BD, case.weight_LK, case.index_LK, case.bias_L), k)
    there = moved(case, device)
    ours = operators.top_k(there.x_BD.t(), *there.layer, k, "triton")
    width = min(k, len(case.bias_L))
    assert torch.equal(ours[0][:, :width].cpu(), score) and torch.equal(ours[1][:, :width].cpu(), label)
    assert bool((ours[1][:, width:] == -1).all()) and bool((ours[0][:, width:] == float("-inf")).all())


def test_top_k_over_several_parts(device: torch.device) -> None:
    case = moved(make(3, 9, 16 * 40, 2), device)
    assert shapes.top_k_parts(40, 1) == 2
    score, label = reference.top_k(reference.scores(case.x_BD, case.weight_LK, case.index_LK, case.bias_L), 7)
    ours = operators.top_k(case.x_BD.t(), *case.layer, 7, "triton")
    torch.testing.assert_close(ours[0], score)
    assert torch.equal(ours[1], label)
    with pytest.raises(KernelError, match="k = 33; allowed: up to 32"):
        operators.top_k(case.x_BD.t(), *case.layer, 33, "triton")


def test_several_labels_a_program_and_several_chunks(
    way: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shapes.fan_in_blocks
    monkeypatch.setattr(shapes, "fan_in_blocks", lambda *a: dataclasses.replace(one(*a), labels=4))
    monkeypatch.setattr(shapes, "CHUNK_BYTES", 4 * 9 * 20)
    for group in (1, 3, 10):
        case = make(9, 12, 45, 6, group=group)
        assert_same(
            fused(moved(case, device), "squared_hinge", "momentum"),
            truth(case, "squared_hinge", "momentum"),
            case,
        )
