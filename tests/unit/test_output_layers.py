"""The true fixed fan-in layer against its simulation by a mask, and what every layer owes its callers."""

import pytest
import torch
from torch import Tensor

from xmcbench.errors import ConfigError, NonFiniteError
from xmcbench.output import OutputLayer, build
from xmcbench.positives import Positives
from xmcbench.recipe import Output, OutputOptimizer
from xmcbench.recipe import Topology as TopologyRecipe
from xmcbench.topology import Topology
from xmcbench.training.losses import BinaryCrossEntropy, SquaredHinge
from xmcbench.training.optimizers import output_optimizer

from ..recipes import output_of


def layer(kind: str, features: int = 11, labels: int = 23, dtype: torch.dtype = torch.float32) -> OutputLayer:
    recipe = output_of(kind, fan_in=4, rank=4, initial_range=0.5)
    return build(features, labels, recipe, torch.Generator().manual_seed(3)).to(dtype)


def batch(
    documents: int = 7, features: int = 11, labels: int = 23, seed: int = 0
) -> tuple[Tensor, Positives]:
    generator = torch.Generator().manual_seed(seed)
    x_BD = torch.randn(documents, features, generator=generator)
    row_P, label_P = (torch.rand(documents, labels, generator=generator) < 0.1).nonzero().unbind(1)
    return x_BD, Positives(documents, row_P, label_P)


def as_dense(true: OutputLayer, values_LK: Tensor) -> Tensor:
    return torch.zeros(true.labels, true.features, dtype=values_LK.dtype).scatter_(
        1, true.index_LK.to(torch.int64), values_LK.detach()
    )


def test_fixed_fan_in_by_hand() -> None:
    one = layer("fixed_fan_in", features=4, labels=2)
    with torch.no_grad():
        one.index_LK.copy_(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]).to(torch.uint16))
        one.weight_LK.copy_(torch.tensor([[1.0, 2.0, 0.0, -1.0], [0.5, 0.0, 0.0, 0.0]]))
        one.bias_L.copy_(torch.tensor([0.25, -1.0]))
    z_BL = one(torch.tensor([[1.0, 10.0, 100.0, 3.0]]))
    assert z_BL.tolist() == [[1 + 20 - 3 + 0.25, 0.5 - 1.0]]


def test_both_start_from_the_same_connections_and_weights() -> None:
    true, masked = layer("fixed_fan_in"), layer("masked_fixed_fan_in")
    assert torch.equal(as_dense(true, true.weight_LK), masked.weight_LD.detach())
    assert int(masked.mask_LD.sum()) == 23 * 4


def test_scores_and_gradients_equal_the_masked_layer() -> None:
    true, masked = layer("fixed_fan_in"), layer("masked_fixed_fan_in")
    x_BD, _ = batch()
    gradients = []
    for one in (true, masked):
        x = x_BD.clone().requires_grad_(True)
        z_BL = one(x)
        (z_BL.square().sum() + z_BL.sum()).backward()
        gradients.append((z_BL.detach(), x.grad))
    for ours, truth in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, truth, rtol=1e-5, atol=1e-7)
    masked_gradient = masked.weight_LD.grad.gather(1, true.index_LK.to(torch.int64))
    torch.testing.assert_close(true.weight_LK.grad, masked_gradient, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(true.bias_L.grad, masked.bias_L.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [SquaredHinge(), BinaryCrossEntropy()], ids=["hinge", "bce"])
@pytest.mark.parametrize(
    ("optimizer", "dtype", "rtol"),
    [
        (OutputOptimizer(kind="sgd", learning_rate=0.1), torch.float64, 1e-9),
        (OutputOptimizer(kind="sgd", learning_rate=0.1, momentum=0.9), torch.float64, 1e-9),
        (OutputOptimizer(kind="adamw", learning_rate=0.05, weight_decay=0.1), torch.float64, 1e-9),
        (OutputOptimizer(kind="sgd", learning_rate=0.1), torch.float32, 1e-5),
    ],
    ids=["sgd-fp64", "momentum-fp64", "adamw-fp64", "sgd-fp32"],
)
def test_ten_steps_with_rewiring_equal_the_masked_layer(
    loss: SquaredHinge, optimizer: OutputOptimizer, dtype: torch.dtype, rtol: float
) -> None:
    recipe = TopologyRecipe(interval_steps=4, end_share=1.0, fraction=0.5)
    ends = []
    for kind in ("fixed_fan_in", "masked_fixed_fan_in"):
        one = layer(kind, dtype=dtype)
        steps = output_optimizer(one, optimizer)
        topology = Topology(recipe, 100, seed=5)
        for step in range(1, 11):
            x_BD, positives = batch(seed=step)
            one.train_step(x_BD.to(dtype), positives, loss=loss, optimizer=steps, scale=0.7)
            if topology.schedule.due(step):
                one.rewire(topology, step, steps)
                one.check_invariants()
        ends.append(one)
    true, masked = ends
    atol = 1e-7 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(
        as_dense(true, true.weight_LK), masked.weight_LD.detach(), rtol=rtol, atol=atol
    )
    torch.testing.assert_close(true.bias_L, masked.bias_L, rtol=rtol, atol=atol)


def test_moments_of_a_regrown_weight_are_reset_and_the_others_move_with_theirs() -> None:
    one = layer("fixed_fan_in")
    steps = output_optimizer(one, OutputOptimizer(kind="adamw", learning_rate=0.05))
    x_BD, positives = batch()
    one.train_step(x_BD, positives, loss=BinaryCrossEntropy(), optimizer=steps)
    moment = steps.state[one.weight_LK]["exp_avg"]
    before = {
        (label, int(i)): float(m)
        for label, (row, moments) in enumerate(zip(one.index_LK.to(torch.int64), moment, strict=True))
        for i, m in zip(row, moments, strict=True)
    }
    one.rewire(Topology(TopologyRecipe(interval_steps=1, end_share=1.0, fraction=0.5), 10, 0), 1, steps)
    moment = steps.state[one.weight_LK]["exp_avg"]
    survivors = 0
    for label, row in enumerate(one.index_LK.to(torch.int64).tolist()):
        for slot, i in enumerate(row):
            expected = before.get((label, i), 0.0)
            if (label, i) not in before:
                assert float(one.weight_LK.detach()[label, slot]) == 0
            survivors += (label, i) in before
            assert float(moment[label, slot]) == expected
    assert survivors == 23 * 2


def test_indices_are_stored_in_two_bytes_when_they_fit() -> None:
    assert layer("fixed_fan_in").index_LK.dtype == torch.uint16
    assert layer("fixed_fan_in", features=65_537, labels=2).index_LK.dtype == torch.int32


@pytest.mark.parametrize("kind", ["dense", "fixed_fan_in"])
def test_top_k_orders_ties_by_label_and_pads(kind: str) -> None:
    one = layer(kind, labels=3)
    with torch.no_grad():
        next(iter(one.parameters())).zero_()
        one.bias_L.copy_(torch.tensor([1.0, 2.0, 1.0]))
    score_Bk, label_Bk = one.top_k(torch.zeros(1, 11), 5)
    assert label_Bk.tolist() == [[1, 0, 2, -1, -1]]
    assert score_Bk[0, :3].tolist() == [2.0, 1.0, 1.0]
    assert one.top_k(torch.zeros(1, 11), 2)[1].tolist() == [[1, 0]]


def test_a_non_finite_gradient_writes_nothing() -> None:
    one = layer("dense")
    steps = output_optimizer(one, OutputOptimizer(kind="sgd", learning_rate=0.1))
    before = {k: v.clone() for k, v in one.state_dict().items()}
    x_BD, positives = batch()
    x_BD[0, 0] = float("inf")
    with pytest.raises(NonFiniteError, match="weight_LD"):
        one.train_step(x_BD, positives, loss=SquaredHinge(), optimizer=steps)
    assert all(torch.equal(v, before[k]) for k, v in one.state_dict().items())


def test_a_missing_or_foreign_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"output\.fan_in"):
        build(8, 8, Output(kind="fixed_fan_in"), torch.Generator())
    with pytest.raises(ConfigError, match=r"output\.options.*wings"):
        build(8, 8, Output(kind="dense", options={"wings": 2}), torch.Generator())
