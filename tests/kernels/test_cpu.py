"""The C++ kernels against the truth, on odd shapes, for every instruction set of this machine."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.errors import NonFiniteError, ShapeError
from xmcbench.kernels import native, operators, reference

from . import cases
from .cases import Case, assert_bits, assert_refused, assert_same, make, odd_cases, truth

MODULE = native()
if MODULE is None:
    pytest.skip("the package was built without its CPU kernels", allow_module_level=True)
SETS = MODULE.instruction_sets()


@pytest.fixture(params=SETS)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    MODULE.use_instruction_set(request.param)
    yield request.param
    MODULE.use_instruction_set(SETS[0])


def fused(case: Case, loss: str, rule: str, *, threads: int = 2, **more: Any) -> dict[str, object]:
    torch.set_num_threads(threads)
    found = cases.fused(case, loss, rule, **more)
    torch.set_num_threads(2)
    return found


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("loss", operators.LOSSES)
@settings(max_examples=25, deadline=None)
@given(case=odd_cases(), data=st.data())
def test_the_fused_step_is_the_truth(loss: str, rule: str, case: Case, data: st.DataObject) -> None:
    label_weight = torch.linspace(0.5, 2.0, len(case.bias_L)) if data.draw(st.booleans()) else None
    for name in SETS:
        MODULE.use_instruction_set(name)
        ours = fused(case, loss, rule, label_weight=label_weight)
        assert_same(ours, truth(case, loss, rule, label_weight=label_weight), case)
        assert ours["bad"] == -1
    MODULE.use_instruction_set(SETS[0])


@settings(max_examples=40, deadline=None)
@given(case=odd_cases(groups=[1]), loss=st.sampled_from(operators.LOSSES), bias=st.sampled_from([0.0, -3.0]))
def test_features_in_bfloat16_are_the_same_numbers_in_float32_to_the_bit(
    case: Case, loss: str, bias: float
) -> None:
    """Also where most vectors of documents are left out, as easy negatives of the squared hinge."""
    narrow = replace(case, x_BD=case.x_BD.bfloat16(), bias_L=case.bias_L + bias)
    for name in SETS:
        MODULE.use_instruction_set(name)
        ours = fused(narrow, loss, "momentum")
        theirs = fused(replace(narrow, x_BD=narrow.x_BD.float()), loss, "momentum")
        assert ours["grad_x"].dtype == torch.float32
        assert_bits(ours, theirs, name)
    MODULE.use_instruction_set(SETS[0])


@settings(max_examples=40, deadline=None)
@given(case=odd_cases(), loss=st.sampled_from(operators.LOSSES), seed=st.integers(0, 99))
def test_a_batch_may_lie_in_any_way_and_its_pairs_may_come_in_any_order(
    case: Case, loss: str, seed: int
) -> None:
    documents, features = case.x_BD.shape
    wide = torch.full((2 * documents, features + 3), float("nan"))
    wide[::2, 3:] = case.x_BD
    label_P, row_P = case.pairs
    order = torch.randperm(len(label_P), generator=torch.Generator().manual_seed(seed))
    for name in SETS:
        MODULE.use_instruction_set(name)
        theirs = fused(case, loss, "momentum")
        for x_BD in (case.x_BD.t().contiguous().t(), wide[::2, 3:]):
            ours = fused(replace(case, x_BD=x_BD), loss, "momentum", pairs=(label_P[order], row_P[order]))
            assert_bits(ours, theirs, (name, x_BD.stride()))
    MODULE.use_instruction_set(SETS[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("row", [0, 129])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_move_nothing(
    value: float, row: int, dtype: torch.dtype, instruction_set: str
) -> None:
    case = make(130, 21, 40, 5)
    for column in (0, 16, 20):
        x_BD = case.x_BD.clone()
        x_BD[row, column] = value
        assert_refused(
            replace(case, x_BD=x_BD.to(dtype)), case.pairs, NonFiniteError, "features x_BD are not"
        )


@pytest.mark.parametrize(
    ("label", "row", "said"),
    [
        (40, 0, "label_P holds 40; allowed: 0 … 39"),
        (-1, 0, "label_P holds -1; allowed: 0 … 39"),
        (0, 9, "row_P holds 9; allowed: 0 … 8"),
        (0, -2, "row_P holds -2; allowed: 0 … 8"),
    ],
)
def test_a_pair_outside_of_the_batch_moves_nothing(label: int, row: int, said: str) -> None:
    case = make(9, 21, 40, 5)
    pairs = torch.tensor([3, label, 7]), torch.tensor([1, row, 2])
    assert_refused(case, pairs, ShapeError, said)


@settings(max_examples=40, deadline=None)
@given(case=odd_cases())
def test_forward_and_backward_are_the_truth(case: Case) -> None:
    x, w, b = (t.float().clone().requires_grad_(True) for t in (case.x_BD, case.weight_LK, case.bias_L))
    expected = reference.scores(x, w, case.index_LK, b)
    weights = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    grads = torch.autograd.grad((expected * weights).sum(), (x, w, b))
    for name in SETS:
        MODULE.use_instruction_set(name)
        z_LB = operators.scores(case.x_BD.t(), *case.layer, "cpu")
        torch.testing.assert_close(z_LB.t(), expected, rtol=1e-4, atol=2e-5)
        ours = operators.scores_backward(weights.t(), case.x_BD.t(), *case.layer, "cpu")
        torch.testing.assert_close(ours[0].t(), grads[0], rtol=1e-4, atol=1e-4)
        loose = (
            {"rtol": 2**-7, "atol": 1e-2}
            if case.weight_LK.dtype == torch.bfloat16
            else {"rtol": 1e-4, "atol": 1e-4}
        )
        torch.testing.assert_close(ours[1].float(), grads[1], **loose)
        torch.testing.assert_close(ours[2], grads[2], rtol=1e-4, atol=1e-4)
    MODULE.use_instruction_set(SETS[0])


@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", operators.LOSSES)
def test_the_same_bits_for_any_number_of_threads(
    loss: str, weight_dtype: torch.dtype, group: int, instruction_set: str
) -> None:
    case = make(130, 50, 5000, 9, weight_dtype=weight_dtype, positive_share=0.01, group=group)
    one = fused(case, loss, "adamw", threads=1)
    for threads in (2, 8, 2):
        other = fused(case, loss, "adamw", threads=threads)
        assert_bits(other, one, threads)


@pytest.mark.parametrize("group", [1, 8])
def test_bfloat16_rounding_follows_the_key_alone_and_is_right_on_average(
    group: int, instruction_set: str
) -> None:
    case = make(16, 20, 4000, 5, weight_dtype=torch.bfloat16, group=group)
    ends = [fused(case, "bce", "sgd", key=key)["weight"].float() for key in (1, 1, 2)]
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])
    exact = truth(case, "bce", "sgd")["weight"]
    mean = sum(fused(case, "bce", "sgd", key=key)["weight"].float() for key in range(64)) / 64
    # One bfloat16 step is 2⁻⁸ of the value; the mean of 64 roundings has an eighth of its spread.
    error = ((mean - exact) / exact.abs().clamp(min=1e-3)).mean()
    assert abs(float(error)) < 2**-8 / 8 / 10


@pytest.mark.parametrize("group", [1, 16])
def test_easy_negatives_are_skipped_but_decay_and_moments_go_on(group: int, instruction_set: str) -> None:
    case = make(20, 30, 64, 4, positive_share=0.0, group=group)
    case = Case(case.x_BD, case.weight_LK * 0.01, case.index_HK, torch.full((64,), -3.0), case.y_BL, group)
    for rule in ("sgd", "momentum", "adamw"):
        ours = fused(case, "squared_hinge", rule)
        assert ours["skipped"] == 64 and ours["zeros"] == 20 * 64 and ours["loss"] == 0
        assert not ours["grad_x"].any()
        assert_same(ours, truth(case, "squared_hinge", rule), case)
        assert not torch.equal(ours["weight"], case.weight_LK)


def test_a_pair_given_twice_counts_once(instruction_set: str) -> None:
    case = make(40, 12, 30, 4, positive_share=0.2)
    label_P, row_P = case.pairs
    twice = label_P.repeat_interleave(2), row_P.repeat_interleave(2)
    for loss in operators.LOSSES:
        once, doubled = fused(case, loss, "sgd"), fused(case, loss, "sgd", pairs=twice)
        assert once["loss"] == doubled["loss"] and torch.equal(once["weight"], doubled["weight"])


def test_extreme_scores_have_finite_loss_and_right_gradient(instruction_set: str) -> None:
    bias = torch.tensor([-300.0, -80.0, -20.0, 0.0, 20.0, 80.0, 300.0])
    base = make(9, 5, 7, 2)
    case = Case(base.x_BD, torch.zeros(7, 2), base.index_HK, bias, base.y_BL)
    expected = truth(case, "bce", "sgd")
    del expected["zeros"]  # a sigmoid of −300 is zero in torch and 1e-38 here
    assert_same(fused(case, "bce", "sgd"), expected, case)


@pytest.mark.parametrize("group", [1, 16])
def test_a_label_whose_gradient_is_not_finite_is_named_and_left_alone(
    group: int, instruction_set: str
) -> None:
    for wrong in (float("inf"), float("nan"), 3e38):
        for loss in operators.LOSSES:
            case = make(10, 6, 2100, 6, group=group)
            case.weight_LK[1500] = wrong
            ours = fused(case, loss, "sgd")
            if loss == "bce" and wrong == 3e38:
                continue  # σ(±∞) is finite, and so is the step
            assert ours["bad"] == 1500
            torch.testing.assert_close(
                ours["weight"][1500], case.weight_LK[1500], equal_nan=True, rtol=0, atol=0
            )


@settings(max_examples=40, deadline=None)
@given(case=odd_cases(), k=st.integers(1, 12))
def test_top_k_is_exact_and_ties_go_to_the_smaller_label(case: Case, k: int) -> None:
    # Whole numbers: scores are exact, and ties are many.
    case = Case(
        case.x_BD.round(),
        (case.weight_LK.float() * 2).round(),
        case.index_HK,
        case.bias_L.round(),
        case.y_BL,
        case.group,
    )
    score, label = reference.top_k(reference.scores(case.x_BD, case.weight_LK, case.index_LK, case.bias_L), k)
    for name in SETS:
        MODULE.use_instruction_set(name)
        ours = operators.top_k(case.x_BD.t(), *case.layer, k)
        width = min(k, len(case.bias_L))
        assert torch.equal(ours[0][:, :width], score) and torch.equal(ours[1][:, :width], label)
        assert bool((ours[1][:, width:] == -1).all())
    MODULE.use_instruction_set(SETS[0])


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    case = make(4, 6, 5, 3)
    x_DB, z_LB = case.x_BD.t().contiguous(), torch.empty(5, 4)
    good = [*case.layer, x_DB, z_LB, 1]
    MODULE.forward(*good)
    for position, wrong in (
        (0, case.weight_LK[:, :2].contiguous()),
        (0, case.weight_LK.double()),
        (1, case.index_HK.to(torch.int64)),
        (1, case.index_HK[:4].contiguous()),
        (2, case.bias_L[:4]),
        (3, 2),
        (3, 0),
        (5, torch.empty(5, 3)),
    ):
        with pytest.raises((ValueError, TypeError)):
            MODULE.forward(*good[:position], wrong, *good[position + 1 :])
    with pytest.raises(ValueError, match="x_DB is float32 or bfloat16"):
        fused(replace(case, x_BD=case.x_BD.half()), "bce", "sgd")
    shared = make(4, 6, 6, 3, group=2)
    with pytest.raises(ValueError, match="x_DB is float32 where labels share their inputs"):
        fused(replace(shared, x_BD=shared.x_BD.bfloat16()), "bce", "sgd")


def test_scores_too_many_for_a_cache_are_those_of_their_parts(instruction_set: str) -> None:
    """Large results take another way to memory; a part of the labels is small enough not to."""
    case = make(64, 20, 70_000, 3)
    whole = operators.scores(case.x_BD.t(), *case.layer, "cpu")
    parts = [
        operators.scores(
            case.x_BD.t(), case.weight_LK[rows], case.index_HK[rows], case.bias_L[rows], 1, "cpu"
        )
        for rows in (slice(0, 35_000), slice(35_000, 70_000))
    ]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("group", [1, 8])
def test_arrays_that_wait_for_the_next_call_change_nothing(group: int) -> None:
    """A call that takes over another's arrays, whatever stood in them, gives what one with new arrays gives."""
    small = make(documents=64, features=512, labels=2100, fan_in=16, seed=1, group=group)
    other = make(documents=60, features=512, labels=1900, fan_in=16, seed=2, group=group)  # of the same size
    MODULE.free_kept()
    fresh = fused(small, "bce", "sgd")
    assert MODULE.free_kept() > 0 == MODULE.free_kept()
    fused(other, "bce", "sgd")
    operators.top_k(other.x_BD.t(), other.weight_LK, other.index_HK, other.bias_L, group, 5)
    again = fused(small, "bce", "sgd")
    assert {k: str(v) for k, v in fresh.items()} == {k: str(v) for k, v in again.items()}
    for name, value in fresh.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, again[name])  # type: ignore[arg-type]


def test_no_more_than_32_mib_wait_for_the_next_call() -> None:
    """A call that holds 134 MB leaves no more behind."""
    case = make(documents=2048, features=1024, labels=16_384, fan_in=4, seed=1)
    fused(case, "bce", "sgd")
    assert MODULE.free_kept() <= 32 << 20
