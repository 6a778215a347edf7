"""Thresholds, gradient growth, channels and ablation, by numbers that a person can check."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.errors import ConfigError
from xmcbench.output.fixed_fan_in import FixedFanIn
from xmcbench.output.group_fan_in import GroupFanIn
from xmcbench.output.layer import GrowthBatch, OutputLayer
from xmcbench.output.masked import Masked
from xmcbench.output.masked_fixed_fan_in import MaskedFixedFanIn
from xmcbench.output.masked_srigl import MaskedSRigL
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.recipe import Topology as Recipe
from xmcbench.topology import Topology, rewire_mask
from xmcbench.topology.mask import removed_channels
from xmcbench.training.losses import SquaredHinge


def topology(**keys: object) -> Topology:
    return Topology(Recipe(**{"interval_steps": 10, "end_share": 1.0, "fraction": 0.5, **keys}), 1000, seed=7)


def a_batch(documents: int, features: int, labels: int, seed: int = 0) -> GrowthBatch:
    generator = torch.Generator().manual_seed(seed)
    x_BD = torch.randn(documents, features, generator=generator)
    positive = torch.randint(labels, (documents,), generator=generator)
    return GrowthBatch(x_BD, Positives(documents, torch.arange(documents), positive), SquaredHinge())


def layer_of(kind: type[OutputLayer], features: int, labels: int, **keys: object) -> OutputLayer:
    recipe = Output.model_validate({"kind": "masked", "fan_in": 3, "initial_range": 0.5, **keys})
    return kind(features, labels, recipe, torch.Generator().manual_seed(3))


def test_a_threshold_prunes_what_is_below_it_and_falls_with_a_half_cosine() -> None:
    rule = topology(amount="threshold", threshold=0.2, threshold_end=0.0)
    schedule = rule.schedule
    assert schedule.threshold_at(0) == pytest.approx(0.2)
    assert schedule.threshold_at(500) == pytest.approx(0.1)
    assert schedule.threshold_at(1000) == pytest.approx(0.0)
    weight_LK = torch.tensor([[0.05, -0.3, 0.11, -0.09, 0.5, 0.2, -0.13, 0.04]])
    (plan,) = rule.plan_rows(weight_LK, torch.arange(0, 16, 2)[None], features=16, step=500)
    kept = weight_LK.gather(1, plan.source_RK)[~plan.new_RK]
    assert sorted(kept.tolist()) == pytest.approx([-0.3, -0.13, 0.11, 0.2, 0.5])


def test_a_threshold_above_a_whole_row_gives_it_new_inputs_and_not_none() -> None:
    (plan,) = topology(amount="threshold", threshold=9.0).plan_rows(
        torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[0, 1, 2]]), features=7, step=10
    )
    assert int(plan.new_RK.sum()) == 3 and bool(plan.new_RK.all())
    assert len(set(plan.index_RK[0].tolist())) == 3 and set(plan.index_RK[0].tolist()) <= {3, 4, 5, 6}


def test_a_threshold_above_everything_with_full_fan_in_keeps_the_inputs() -> None:
    (plan,) = topology(amount="threshold", threshold=9.0).plan_rows(
        torch.ones(2, 4), torch.arange(4).expand(2, 4), features=4, step=10
    )
    assert torch.equal(plan.index_RK, torch.arange(4).expand(2, 4)) and bool(plan.new_RK.all())


def test_gradient_growth_takes_the_largest_absent_gradients() -> None:
    gradient_LD = torch.tensor([[9.0, -3.0, 0.1, 5.0, -4.0, 0.2, 8.0, 0.3]])
    (plan,) = topology(grow="gradient_growth").plan_rows(
        torch.tensor([[0.9, 0.1, 0.8, 0.2]]),
        torch.tensor([[0, 2, 5, 6]]),  # 2 and 6 go, and may not come straight back
        features=8,
        step=10,
        gradient=lambda first, last: gradient_LD[first:last],
    )
    assert plan.index_RK.tolist() == [[0, 3, 4, 5]]
    assert plan.new_RK.tolist() == [[False, True, True, False]]


def test_equal_gradients_are_drawn_among_and_a_larger_one_always_wins() -> None:
    gradient_LD = torch.zeros(200, 10)
    gradient_LD[:, 7] = 1.0
    (plan,) = topology(grow="gradient_growth", fraction=1.0).plan_rows(
        torch.ones(200, 2), torch.tensor([[0, 1]]).expand(200, 2), 10, 10, lambda a, b: gradient_LD[a:b]
    )
    assert bool((plan.index_RK == 7).any(dim=1).all())
    others = plan.index_RK[plan.index_RK != 7]
    assert set(others.tolist()) == {2, 3, 4, 5, 6, 8, 9}, "ties went to the same inputs"


def test_gradient_growth_without_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="gradient_growth needs a training batch"):
        layer_of(FixedFanIn, 8, 5).rewire(topology(grow="gradient_growth"), 10)


@pytest.mark.parametrize("kind", [Masked, FixedFanIn, GroupFanIn])
def test_the_gradient_of_a_block_is_that_of_autograd(kind: type[OutputLayer]) -> None:
    layer = layer_of(kind, 9, 7, group=2)
    batch = a_batch(5, 9, 7)
    z_BL = layer(batch.x_BD).detach().requires_grad_(True)
    y_BL = torch.full((5, 7), -1.0)
    y_BL[batch.positives.row_P, batch.positives.label_P] = 1.0
    ((1 - y_BL * z_BL).clamp(min=0).square().sum() / 5).backward()
    assert z_BL.grad is not None
    truth_LD = z_BL.grad.t() @ batch.x_BD
    for first, last in ((0, 2), (2, 4), (4, 7)):
        torch.testing.assert_close(layer.connection_gradient(batch, first, last), truth_LD[first:last])


@given(
    features=st.integers(3, 20), labels=st.integers(1, 30), fraction=st.floats(0, 1), seed=st.integers(0, 9)
)
@settings(max_examples=40, deadline=None)
def test_the_true_layer_and_its_masked_twin_grow_the_same_connections(
    features: int, labels: int, fraction: float, seed: int
) -> None:
    true, masked = layer_of(FixedFanIn, features, labels), layer_of(MaskedFixedFanIn, features, labels)
    batch = a_batch(6, features, labels, seed)
    rule = topology(grow="gradient_growth", fraction=fraction)
    reports = [layer.rewire(rule, 10, None, batch) for layer in (true, masked)]
    assert reports[0].pruned == reports[1].pruned == labels * int(fraction * 3)
    true.check_invariants()
    masked.check_invariants()
    assert isinstance(true, FixedFanIn) and isinstance(masked, MaskedFixedFanIn)
    assert torch.equal(true.index.to(torch.int64), masked.index_LK())


def test_moments_of_grown_connections_are_zero_and_all_others_stay() -> None:
    layer = layer_of(FixedFanIn, 12, 6)
    batch = a_batch(4, 12, 6)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer.train_step(batch.x_BD, batch.positives, loss=batch.loss, optimizer=optimizer)
    assert isinstance(layer, FixedFanIn)
    before = dict(enumerate(zip(layer.index.tolist(), layer.weight_LK.tolist(), strict=True)))
    layer.rewire(topology(grow="gradient_growth", fraction=0.4), 10, optimizer, batch)
    moment_LK = optimizer.state[layer.weight_LK]["exp_avg_sq"]
    moved = 0
    for label, (inputs, weights) in before.items():
        old = dict(zip(inputs, weights, strict=True))
        for slot, source in enumerate(layer.index[label].tolist()):
            weight = float(layer.weight_LK.detach()[label, slot])
            if source in old and old[source] == weight:
                assert float(moment_LK[label, slot]) > 0
            else:
                assert weight == 0 and float(moment_LK[label, slot]) == 0
                moved += 1
    assert moved == 6


def test_a_label_without_positives_still_rewires() -> None:
    layer = layer_of(FixedFanIn, 8, 4)
    batch = GrowthBatch(torch.randn(3, 8), Positives(3, torch.tensor([0]), torch.tensor([2])), SquaredHinge())
    assert layer.rewire(topology(grow="gradient_growth"), 10, None, batch).pruned == 4
    layer.check_invariants()


def test_channels_leave_cubically_and_for_good() -> None:
    rule = topology(removed_channels=0.5, kept_channels=0.2, scope="global", fraction=0.0)
    generator = torch.Generator().manual_seed(5)
    mask_LD = torch.rand(40, 10, generator=generator) < 0.3
    weight_LD = torch.randn(40, 10, generator=generator) * mask_LD
    weight_LD[:, 4] *= 0.001  # the least of all channels
    connections, gone = int(mask_LD.sum()), set()
    for step in (200, 500, 900, 1000):
        rewire_mask(rule, weight_LD, mask_LD, step)
        weight_LD *= mask_LD
        assert int(mask_LD.sum()) == connections
        empty = set((mask_LD.sum(dim=0) == 0).nonzero().flatten().tolist())
        assert gone <= empty, "a removed channel came back"
        assert len(empty) == int(0.5 * (1 - (1 - step / 1000) ** 3) * 10)
        gone = empty
    assert 4 in gone and len(gone) == 5


def test_a_floor_of_channels_is_kept() -> None:
    rule = topology(removed_channels=0.9, kept_channels=0.6, scope="global")
    ones = torch.ones(3, 10)
    assert int(removed_channels(rule, ones, ones > 0, 1000).sum()) == 4


def test_ablation_moves_the_budget_from_labels_that_hold_nothing() -> None:
    layer = layer_of(MaskedSRigL, 8, 4)
    assert isinstance(layer, MaskedSRigL)
    with torch.no_grad():
        layer.weight_LD[1] *= 1e-6  # this label's connections are the layer's least …
        layer.weight_LD[layer.mask_LD] += layer.weight_LD[layer.mask_LD].sign() * 1e-7
    x_BD = torch.zeros(2, 8)  # … and no input has a gradient for anyone
    batch = GrowthBatch(x_BD, Positives(2, torch.tensor([0, 1]), torch.tensor([0, 2])), SquaredHinge())
    rule = topology(grow="gradient_growth", scope="global", fraction=0.25, ablation=1.0)
    layer.rewire(rule, 10, None, batch)
    layer.check_invariants()
    fan_in = layer.mask_LD.sum(dim=1).tolist()
    assert fan_in[1] == 0 and sorted(fan_in)[1:] == [4, 4, 4]


@given(labels=st.integers(1, 25), features=st.integers(3, 15), share=st.floats(0, 1), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_ablation_keeps_the_budget_on_any_shape(labels: int, features: int, share: float, seed: int) -> None:
    layer = layer_of(MaskedSRigL, features, labels)
    rule = topology(grow="gradient_growth", scope="global", fraction=0.3, ablation=share)
    for step in (10, 20, 30):
        layer.rewire(rule, step, None, a_batch(4, features, labels, seed + step))
        layer.check_invariants()


@pytest.mark.parametrize("moments, expected", [("reset", 0.0), ("inherit", 3.0)])
def test_a_new_connection_starts_without_moments_or_with_those_it_replaces(
    moments: str, expected: float
) -> None:
    layer = layer_of(FixedFanIn, 12, 1)
    assert isinstance(layer, FixedFanIn)
    with torch.no_grad():
        layer.weight_LK.copy_(torch.tensor([[0.5, 0.01, 0.4]]))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    optimizer.state[layer.weight_LK]["exp_avg"] = torch.tensor([[1.0, 3.0, 2.0]])
    kept = {int(layer.index[0, 0]): 1.0, int(layer.index[0, 2]): 2.0}
    layer.rewire(topology(fraction=0.34, moments=moments), 10, optimizer)
    after = dict(
        zip(layer.index[0].tolist(), optimizer.state[layer.weight_LK]["exp_avg"][0].tolist(), strict=True)
    )
    assert {i: after.pop(i) for i in kept} == kept
    assert list(after.values()) == [expected]
