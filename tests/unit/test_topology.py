"""Rewiring by numbers that a person can check, and its invariants on any shape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.recipe import Topology as Recipe
from xmcbench.topology import Topology, rewire_mask
from xmcbench.topology.distinct import BLOCK, distinct_inputs
from xmcbench.topology.rows import best, nth_smallest, smallest
from xmcbench.topology.schedule import Schedule


def topology(**keys: object) -> Topology:
    return Topology(Recipe(**{"interval_steps": 10, "end_share": 1.0, "fraction": 0.5, **keys}), 1000, seed=7)


def test_the_smallest_weights_of_a_row_go_and_the_rest_keep_their_values() -> None:
    weight_LK = torch.tensor([[0.9, -0.1, 0.5, 0.02]])
    index_LK = torch.tensor([[1, 3, 4, 6]])
    (plan,) = topology().plan_rows(weight_LK, index_LK, features=8, step=10)
    moved = weight_LK.gather(1, plan.source_RK).masked_fill(plan.new_RK, 0)[0]
    kept = dict(zip(plan.index_RK[0].tolist(), moved.tolist(), strict=True))
    assert int(plan.new_RK.sum()) == 2
    assert kept[1] == pytest.approx(0.9) and kept[4] == pytest.approx(0.5)
    grown = [i for i, new in zip(plan.index_RK[0].tolist(), plan.new_RK[0].tolist(), strict=True) if new]
    assert len(grown) == 2 and all(kept[i] == 0 for i in grown)
    assert set(grown) <= {0, 2, 5, 7}, "a pruned input came straight back although others were free"


def test_global_scope_ranks_over_the_layer() -> None:
    weight_LK = torch.tensor([[0.1, 0.2], [5.0, 6.0]])
    (plan,) = topology(scope="global").plan_rows(
        weight_LK, torch.tensor([[0, 1], [2, 3]]), features=6, step=10
    )
    assert plan.new_RK.sum(dim=1).tolist() == [2, 0]
    assert plan.index_RK[1].tolist() == [2, 3]
    assert set(plan.index_RK[0].tolist()) <= {2, 3, 4, 5}


def test_a_fraction_that_rounds_to_zero_moves_nothing() -> None:
    index_LK = torch.tensor([[0, 2, 5]])
    (plan,) = topology(fraction=0.3).plan_rows(torch.tensor([[0.1, 0.2, 0.3]]), index_LK, features=9, step=10)
    assert int(plan.new_RK.sum()) == 0 and not plan.new_RK.any()
    assert torch.equal(plan.index_RK, index_LK)


def test_full_fan_in_can_only_take_its_own_inputs_back() -> None:
    index_LK = torch.arange(4)[None]
    (plan,) = topology().plan_rows(torch.tensor([[0.4, 0.1, 0.2, 0.3]]), index_LK, features=4, step=10)
    assert torch.equal(plan.index_RK, index_LK)
    assert plan.new_RK[0].tolist() == [False, True, True, False]


@given(
    labels=st.integers(1, 40),
    features=st.integers(1, 33),
    data=st.data(),
    fraction=st.floats(0, 1),
    scope=st.sampled_from(["label", "global"]),
)
@settings(max_examples=80, deadline=None)
def test_rows_stay_distinct_sorted_and_in_range(
    labels: int, features: int, data: st.DataObject, fraction: float, scope: str
) -> None:
    fan_in = data.draw(st.integers(1, features))
    generator = torch.Generator().manual_seed(labels * 100 + features)
    index_LK = distinct_inputs(labels, features, fan_in, generator)
    weight_LK = torch.randn(labels, fan_in, generator=generator)
    (plan,) = topology(fraction=fraction, scope=scope).plan_rows(weight_LK, index_LK, features, step=20)
    assert plan.index_RK.shape == (labels, fan_in)
    assert bool((plan.index_RK.diff(dim=1) > 0).all())
    assert int(plan.index_RK.min()) >= 0 and int(plan.index_RK.max()) < features
    kept = ~plan.new_RK
    old = index_LK.gather(1, plan.source_RK)
    assert torch.equal(plan.index_RK[kept], old[kept]), "a surviving weight changed its input"
    if scope == "label":
        assert bool((plan.new_RK.sum(dim=1) == int(fraction * fan_in)).all())


@given(labels=st.integers(1, 20), features=st.integers(2, 20), fraction=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_an_unstructured_mask_keeps_its_number_of_connections(
    labels: int, features: int, fraction: float
) -> None:
    generator = torch.Generator().manual_seed(labels + 50 * features)
    mask_LD = torch.rand(labels, features, generator=generator) < 0.4
    weight_LD = torch.randn(labels, features, generator=generator) * mask_LD
    before = int(mask_LD.sum())
    report = rewire_mask(topology(fraction=fraction, scope="global"), weight_LD, mask_LD, step=10)
    assert int(mask_LD.sum()) == before
    assert report.pruned == report.regrown == int(fraction * before)
    assert report.grown is not None and bool((report.grown & ~mask_LD).sum() == 0)


@given(
    scores=st.lists(
        st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, 1.5, -1.5]), min_size=1, max_size=60
    ),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_the_nth_smallest_is_that_of_a_sort(scores: list[float], data: st.DataObject) -> None:
    score = torch.tensor(scores, dtype=torch.float32) + 0.0  # no negative zero
    n = data.draw(st.integers(1, len(scores)))
    assert float(nth_smallest(score, n)) == sorted(score.tolist())[n - 1]


def test_of_equal_scores_the_earlier_go_first() -> None:
    score_RK = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
    assert smallest(score_RK, 0.5, "global").tolist() == [[True, False, True], [False, True, False]]


@given(st.lists(st.integers(-2, 3), min_size=1, max_size=60), st.integers(1, 3), st.data())
def test_the_best_are_the_highest_and_a_draw_decides_among_equals(
    scores: list[int], rows: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(scores)))
    score_RD = torch.tensor(scores).float().repeat(rows, 1)
    found = best(score_RD, count, torch.Generator().manual_seed(5), ties=True)
    draw_RD = torch.rand(score_RD.shape, generator=torch.Generator().manual_seed(5))
    for row, draws in zip(found.tolist(), draw_RD.tolist(), strict=True):
        assert row == sorted(range(len(scores)), key=lambda place: (-scores[place], draws[place]))[:count]


def test_rows_of_several_blocks_are_planned_one_after_another_and_together_as_by_one_sort() -> None:
    """Plans may be carried out at once: what a later block loses is still what all rows say."""
    rows, generator = 2 * BLOCK + 5, torch.Generator().manual_seed(1)
    index_LK = distinct_inputs(rows, 6, 2, generator)
    weight_LK = torch.rand(rows, 2, generator=generator)
    order = torch.sort(weight_LK.flatten(), stable=True).indices
    expected = torch.zeros(rows * 2, dtype=torch.bool)
    expected[order[: int(0.3 * rows * 2)]] = True
    firsts, pruned = [], []
    for plan in topology(scope="global", fraction=0.3).plan_rows(weight_LK, index_LK, 6, step=10):
        firsts.append(plan.first)
        pruned.append(plan.new_RK.sum(dim=1))
        weight_LK[plan.rows] = 0.0
    assert firsts == [0, BLOCK, 2 * BLOCK]
    assert torch.equal(torch.cat(pruned), expected.view(rows, 2).sum(dim=1))


def test_a_draw_is_a_function_of_seed_and_step() -> None:
    weight_LK, index_LK = torch.randn(6, 4), distinct_inputs(6, 30, 4, torch.Generator().manual_seed(0))
    (one,), (two,) = (topology().plan_rows(weight_LK, index_LK, 30, step=20) for _ in range(2))
    (later,) = topology().plan_rows(weight_LK, index_LK, 30, step=30)
    assert torch.equal(one.index_RK, two.index_RK) and not torch.equal(one.index_RK, later.index_RK)


def test_schedule_rewires_on_the_interval_until_its_end() -> None:
    schedule = Schedule.of(
        Recipe(interval_steps=100, end_share=0.66, fraction=0.3, fraction_decay="cosine"), 1000
    )
    assert [s for s in range(0, 1001) if schedule.due(s)] == [100, 200, 300, 400, 500, 600]
    assert schedule.fraction(0) == pytest.approx(0.3)
    assert schedule.fraction(330) == pytest.approx(0.15)
    assert schedule.fraction(660) == pytest.approx(0.0)
