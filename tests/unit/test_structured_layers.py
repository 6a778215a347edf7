"""Index-free layers: a block tensor train against the matrix it stands for, SVD training across the cut of its rank."""

import io
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.output import build
from xmcbench.output.block_tensor_train import BlockTensorTrain, even_factors
from xmcbench.output.low_rank_svd import LowRankSvd
from xmcbench.positives import Positives
from xmcbench.recipe import Output, OutputOptimizer
from xmcbench.training.losses import SquaredHinge
from xmcbench.training.optimizers import output_optimizer


def train(features: int, labels: int, rank: int, seed: int = 0) -> BlockTensorTrain:
    recipe = Output(kind="block_tensor_train", rank=rank)
    layer = build(features, labels, recipe, torch.Generator().manual_seed(seed))
    assert isinstance(layer, BlockTensorTrain)
    with torch.no_grad():
        layer.last_cyd.normal_(generator=torch.Generator().manual_seed(seed + 1))
    return layer


def dense_of(layer: BlockTensorTrain) -> torch.Tensor:
    """W entry by entry, from the definition: W[l, d] = Σ_r first[b, a, (c, r)] · last[c, (b, r), e]."""
    weight_LD = torch.zeros(layer.labels, layer.features)
    for label, feature in product(range(layer.labels), range(layer.features)):
        c, e = divmod(label, layer.block)
        b, a = divmod(feature, layer.inner)
        for r in range(layer.rank):
            weight_LD[label, feature] += (
                layer.first_bax[b, a, c * layer.rank + r] * layer.last_cyd[c, b * layer.rank + r, e]
            ).detach()
    return weight_LD


@given(features=st.integers(1, 12), labels=st.integers(1, 23), rank=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_block_tensor_train_is_the_matrix_of_its_cores(features: int, labels: int, rank: int) -> None:
    layer = train(features, labels, rank)
    x_BD = torch.randn(3, features)
    truth_BL = x_BD @ dense_of(layer).t() + layer.bias_L
    torch.testing.assert_close(layer(x_BD), truth_BL, rtol=1e-4, atol=1e-4)
    assert layer(x_BD).shape == (3, labels), "padding became a label"


def test_factors_are_as_even_as_they_can_be() -> None:
    assert [even_factors(n) for n in (384, 768, 7, 1, 36)] == [(16, 24), (24, 32), (1, 7), (1, 1), (6, 6)]


def test_weights_and_rates_are_those_of_the_formula() -> None:
    layer = train(384, 7203, 2)
    assert layer.first_bax.numel() == 2 * 384 * 84 and layer.last_cyd.numel() == 2 * 24 * 84 * 86
    assert layer.learning_rate_factors() == {"first_bax": 384 / 16 / 2, "last_cyd": 384 / 48 / 2}
    optimizer = output_optimizer(layer, OutputOptimizer(learning_rate=0.01))
    rates = {
        name: group["lr"]
        for group in optimizer.param_groups
        for name, parameter in layer.named_parameters()
        if any(parameter is p for p in group["params"])
    }
    assert rates == pytest.approx({"first_bax": 0.12, "last_cyd": 0.04, "bias_L": 0.01})


def test_padding_never_learns() -> None:
    layer = train(6, 7, 1)  # 2 × 4 places for 7 labels
    with torch.no_grad():
        layer.last_cyd[-1, :, -1] = 5.0
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    positives = Positives(2, torch.tensor([0, 1]), torch.tensor([6, 0]))
    layer.train_step(torch.randn(2, 6), positives, loss=SquaredHinge(), optimizer=optimizer)
    assert layer.last_cyd[-1, :, -1].unique().tolist() == [5.0]
    assert layer.effective_parameters() == layer.first_bax.numel() + layer.last_cyd.numel() - 3 + 7


def svd_layer(rank: int = 4, seed: int = 0, **keys: float) -> LowRankSvd:
    recipe = Output.model_validate({"kind": "low_rank_svd", "rank": rank, "svd": keys, "initial_range": 0.5})
    layer = build(6, 9, recipe, torch.Generator().manual_seed(seed))
    assert isinstance(layer, LowRankSvd)
    return layer


def test_svd_training_starts_orthonormal_and_its_terms_are_those_by_hand() -> None:
    layer = svd_layer(orthogonality=2.0, sparsity=3.0)
    one = torch.eye(4)
    torch.testing.assert_close(layer.left_LR.t() @ layer.left_LR, one)
    torch.testing.assert_close(layer.right_RD @ layer.right_RD.t(), one)
    # Equal σ of rank 4: ‖σ‖₁ / ‖σ‖₂ = 4 / 2.
    assert float(layer.regularisation().detach()) == pytest.approx(3.0 * (2 - 1), rel=1e-5)
    with torch.no_grad():
        layer.left_LR.mul_(2)  # NᵀN = 4 I, so ‖NᵀN − I‖² = 4 · 9
        layer.sigma_R.copy_(torch.tensor([3.0, 0.0, 4.0, 0.0]))
    expected = 2.0 * 36 / 16 + 3.0 * (7 / 5 - 1)
    assert float(layer.regularisation().detach()) == pytest.approx(expected, rel=1e-5)


def test_the_regularisers_reach_the_weights() -> None:
    layer = svd_layer(orthogonality=1.0, sparsity=0.0)
    with torch.no_grad():
        layer.left_LR.mul_(3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    before = float(layer.regularisation().detach())
    far = Positives(2, torch.tensor([0]), torch.tensor([1]))
    with torch.no_grad():
        layer.bias_L.fill_(-9.0)
        layer.bias_L[1] = 9.0  # every score is right by far: the hinge itself has no gradient
    x_BD = torch.zeros(2, 6)
    for _ in range(5):
        layer.train_step(x_BD, far, loss=SquaredHinge(), optimizer=optimizer)
    assert float(layer.regularisation().detach()) < before


def test_the_cut_keeps_the_fewest_values_that_hold_the_energy() -> None:
    layer = svd_layer(energy=0.9, cut_share=0.5)
    with torch.no_grad():
        layer.sigma_R.copy_(torch.tensor([1.0, -3.0, 0.1, 2.0]))  # squares 1, 9, 0.01, 4 of 14.01
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.0, weight_decay=0.0)
    positives = Positives(2, torch.tensor([0, 1]), torch.tensor([3, 8]))
    layer.train_step(torch.randn(2, 6), positives, loss=SquaredHinge(), optimizer=optimizer)
    left_LR, moment_LR = layer.left_LR.detach().clone(), optimizer.state[layer.left_LR]["exp_avg"].clone()
    layer.after_step(4, 10, optimizer)
    assert len(layer.sigma_R) == 4, "cut before its time"
    layer.after_step(5, 10, optimizer)
    assert layer.sigma_R.tolist() == [-3.0, 2.0], "13 of 14.01 are the first nine tenths"
    assert torch.equal(layer.left_LR, left_LR[:, [1, 3]])
    assert torch.equal(optimizer.state[layer.left_LR]["exp_avg"], moment_LR[:, [1, 3]])
    assert layer.memory(optimizer)["weight"] == 4 * (9 * 2 + 2 + 2 * 6 + 9)
    layer.train_step(torch.randn(2, 6), positives, loss=SquaredHinge(), optimizer=optimizer)

    saved = io.BytesIO()
    torch.save(layer.state_dict(), saved)
    saved.seek(0)
    again = svd_layer(seed=9)
    again.load_state_dict(torch.load(saved, weights_only=True))
    x_BD = torch.randn(3, 6)
    assert torch.equal(again(x_BD), layer(x_BD))


@pytest.mark.parametrize("kind", ["block_tensor_train", "low_rank_svd", "low_rank"])
@pytest.mark.parametrize(("features", "labels"), [(6, 7), (5, 1), (7, 11)])
def test_gradients_are_those_of_finite_differences(kind: str, features: int, labels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = build(features, labels, Output(kind=kind, rank=2), generator).double()
    names = [name for name, _ in layer.named_parameters()]
    weights = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in layer.parameters()]
    x_BD = torch.randn(3, features, generator=generator, dtype=torch.float64)

    def scores(x_BD: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        result = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x_BD,))
        assert isinstance(result, torch.Tensor)
        return result

    assert torch.autograd.gradcheck(scores, [t.requires_grad_() for t in (x_BD, *weights)])


def held_bytes(features: int, labels: int, **keys: object) -> int:
    """Weights, indices and AdamW's moments, after a step."""
    recipe = Output.model_validate(keys)
    layer = build(features, labels, recipe, torch.Generator().manual_seed(0))
    optimizer = output_optimizer(layer, OutputOptimizer(learning_rate=0.01))
    positives = Positives(1, torch.tensor([0]), torch.tensor([0]))
    layer.train_step(torch.ones(1, features), positives, loss=SquaredHinge(), optimizer=optimizer)
    kinds = layer.memory(optimizer)
    return kinds["weight"] + kinds.get("index", 0) + kinds["optimizer"]


def test_a_rank_of_the_fan_in_is_equal_memory_within_a_tenth() -> None:
    """The bottleneck's D·R numbers against 2-byte indices: 12 bytes a weight with its moments, 14 a connection."""
    fixed = held_bytes(384, 7203, kind="fixed_fan_in", fan_in=32)
    steps = 4 * 3  # step counts of the moments, one a parameter
    assert held_bytes(384, 7203, kind="low_rank", rank=32) == 12 * (7203 * 33 + 384 * 32) + steps
    assert fixed == 14 * 7203 * 32 + 12 * 7203 + 4 * 2
    assert 0.9 < held_bytes(384, 7203, kind="low_rank", rank=32) / fixed < 1.1
    assert held_bytes(384, 7203, kind="block_tensor_train", rank=1) < fixed
