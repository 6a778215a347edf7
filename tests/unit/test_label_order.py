"""Label orders and the head-tail layer, against what they must equal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.data.label_order import order_of
from xmcbench.errors import ConfigError
from xmcbench.output import build
from xmcbench.output.dense import Dense
from xmcbench.output.head_tail import HeadTail
from xmcbench.output.ordered import Ordered
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.recipe import Topology as TopologyRecipe
from xmcbench.topology import Topology
from xmcbench.training.losses import LOSSES

HASTE = {"kind": "head_tail", "fan_in": 3, "group": 4, "head_share": 0.3, "initial_range": 0.5}


def a_batch(documents: int, labels: int, features: int, seed: int = 0) -> tuple[torch.Tensor, Positives]:
    generator = torch.Generator().manual_seed(seed)
    x_BD = torch.randn(documents, features, generator=generator)
    label = torch.randint(labels, (documents,), generator=generator)
    return x_BD, Positives(documents, torch.arange(documents), label)


def test_orders_by_hand() -> None:
    count_L, group_L = np.array([1, 5, 0, 5, 2]), np.array([1, 0, 0, 1, 0], dtype=np.int32)
    assert order_of("frequency", count_L, None).tolist() == [1, 3, 4, 0, 2]
    assert order_of("semantic", count_L, group_L).tolist() == [1, 2, 4, 0, 3]
    assert order_of("semantic", count_L, group_L, head=2).tolist() == [1, 3, 2, 4, 0]
    with pytest.raises(ConfigError, match="semantic needs the group of each of 5 labels"):
        order_of("semantic", count_L, group_L[:3])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 60), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_every_order_holds_each_label_once(counts: list[int], head: int, seed: int) -> None:
    group_L = np.random.default_rng(seed).integers(0, 5, len(counts))
    for kind in ("frequency", "semantic", "random"):
        order = order_of(kind, np.array(counts), group_L, head)
        assert sorted(order.tolist()) == list(range(len(counts)))


def test_an_order_changes_nothing_outside_the_layer() -> None:
    order_L = torch.tensor([3, 0, 4, 2, 1])
    plain = Dense(6, 5, Output(), torch.Generator().manual_seed(1))
    inner = Dense(6, 5, Output(), torch.Generator().manual_seed(2))
    with torch.no_grad():
        inner.weight_LD.copy_(plain.weight_LD[order_L])
        inner.bias_L.copy_(torch.linspace(0, 1, 5)[order_L])
        plain.bias_L.copy_(torch.linspace(0, 1, 5))
    ordered = Ordered(inner, order_L)
    x_BD, positives = a_batch(4, 5, 6)
    for _ in range(3):
        results = []
        for layer in (plain, ordered):
            optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
            results.append(layer.train_step(x_BD, positives, loss=LOSSES["bce"](), optimizer=optimizer))
        assert results[0].loss == pytest.approx(results[1].loss)
        torch.testing.assert_close(results[0].grad_x_BD, results[1].grad_x_BD)
    torch.testing.assert_close(plain(x_BD), ordered(x_BD))
    for ours, theirs in zip(plain.top_k(x_BD, 7), ordered.top_k(x_BD, 7), strict=True):
        torch.testing.assert_close(ours, theirs)


@given(labels=st.integers(6, 40), features=st.integers(6, 20), private=st.booleans(), k=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_head_and_tail_rank_as_their_scores_do(labels: int, features: int, private: bool, k: int) -> None:
    layer = build(
        features, labels, Output(**HASTE, private_features=private), torch.Generator().manual_seed(4)
    )
    x_BD, _ = a_batch(5, labels, features)
    with torch.no_grad():
        z_BL = layer(x_BD)
        order = torch.sort(z_BL, dim=1, descending=True, stable=True)
    score_Bk, label_Bk = layer.top_k(x_BD, k)
    width = min(k, labels)
    torch.testing.assert_close(score_Bk[:, :width], order.values[:, :width])
    # The fused and the formed scores may differ in their last bit: labels are compared where scores do not tie.
    clear = (order.values[:, :width].diff(dim=1).abs() > 1e-5).all(dim=1)
    assert torch.equal(label_Bk[clear][:, :width], order.indices[clear][:, :width])
    assert bool((label_Bk[:, width:] == -1).all())


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_on_head_and_tail_is_that_of_autograd(private: bool, loss: str) -> None:
    recipe = Output(**HASTE, private_features=private)
    layer, twin = (build(10, 21, recipe, torch.Generator().manual_seed(4)) for _ in range(2))
    x_BD, positives = a_batch(5, 21, 10)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    result = layer.train_step(x_BD, positives, loss=LOSSES[loss](), optimizer=optimizer, scale=0.7)

    truth_BD = x_BD.clone().requires_grad_(True)
    z_BL = twin(truth_BD)
    value, gradient_BL = LOSSES[loss]().value_and_gradient(z_BL.detach(), positives)
    z_BL.backward(0.7 * gradient_BL)
    torch.optim.SGD(twin.parameters(), lr=0.1).step()
    assert result.loss == pytest.approx(float(value), rel=1e-5)
    assert truth_BD.grad is not None
    torch.testing.assert_close(result.grad_x_BD, truth_BD.grad)
    for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    if private:
        assert not bool(layer.head(x_BD[:, 5:]).eq(layer.head(x_BD[:, :5])).all())


def test_the_tail_rewires_within_its_own_features() -> None:
    layer = build(12, 30, Output(**HASTE, private_features=True), torch.Generator().manual_seed(4))
    assert isinstance(layer, HeadTail) and layer.head_labels == 12
    topology = Topology(TopologyRecipe(fraction=0.7), total_steps=100, seed=1)
    assert layer.rewire(topology, 10).pruned == 18 * 2
    layer.check_invariants()
    assert int(layer.tail.index.to(torch.int64).max()) < 6


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_head_of_none_or_all_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"head_share: a head of .* allowed: some, but not all"):
        build(8, 16, Output(**{**HASTE, "head_share": share}), torch.Generator())
