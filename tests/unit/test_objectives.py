"""Losses and the auxiliary objective against autograd and by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.positives import Positives
from xmcbench.training.auxiliary import AuxiliaryHead, fading_weight
from xmcbench.training.losses import BinaryCrossEntropy, SquaredHinge, documents_at_a_time
from xmcbench.training.network import IntermediateLayer
from xmcbench.training.optimizers import cosine_with_warmup


def test_squared_hinge_by_hand() -> None:
    z_BL = torch.tensor([[0.5, -2.0, 0.0]])
    positives = Positives(1, torch.tensor([0]), torch.tensor([2]))
    value, gradient = SquaredHinge().value_and_gradient(z_BL, positives)
    assert float(value) == pytest.approx(1.5**2 + 0 + 1.0)
    assert gradient.tolist() == [[3.0, 0.0, -2.0]]


@given(documents=st.integers(1, 5), labels=st.integers(1, 9), seed=st.integers(0, 1000), hinge=st.booleans())
@settings(max_examples=60, deadline=None)
def test_gradients_are_those_of_autograd(documents: int, labels: int, seed: int, hinge: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    z_BL = (2 * torch.randn(documents, labels, generator=generator, dtype=torch.float64)).requires_grad_(True)
    y_BL = (torch.rand(documents, labels, generator=generator) < 0.3).double()
    positives = Positives(documents, *y_BL.nonzero().unbind(1))
    if hinge:
        truth = (1 - (2 * y_BL - 1) * z_BL).clamp(min=0).square().sum() / documents
    else:
        truth = torch.nn.functional.binary_cross_entropy_with_logits(z_BL, y_BL, reduction="sum") / documents
    truth.backward()
    loss = SquaredHinge() if hinge else BinaryCrossEntropy()
    value, gradient = loss.value_and_gradient(z_BL.detach(), positives)
    torch.testing.assert_close(value, truth.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, z_BL.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("labels", "at_a_time"), [(300, 218), (20_000, 3), (70_000, 1)])
def test_the_loss_of_many_labels_goes_through_the_cache_by_documents(labels: int, at_a_time: int) -> None:
    z_BL = torch.randn(7, labels, generator=torch.Generator().manual_seed(0))
    assert documents_at_a_time(z_BL) == at_a_time, "256 KiB of float32"
    positives = Positives(7, torch.arange(7), torch.arange(7) * (labels // 7))
    y_BL = torch.zeros_like(z_BL).index_put_((positives.row_P, positives.label_P), torch.ones(()))
    truth = (
        torch.nn.functional.binary_cross_entropy_with_logits(z_BL.double(), y_BL.double(), reduction="sum")
        / 7
    )
    value, _ = BinaryCrossEntropy().value_and_gradient(z_BL, positives)
    assert float(value) == pytest.approx(float(truth), rel=1e-6)


def test_auxiliary_weight_fades_and_stays_off() -> None:
    assert fading_weight(0.4, 0, 100) == pytest.approx(0.4)
    assert fading_weight(0.4, 50, 100) == pytest.approx(0.2)
    assert fading_weight(0.4, 100, 100) == 0.0
    assert fading_weight(0.4, 5000, 100) == 0.0


def test_auxiliary_targets_are_multi_hot_groups() -> None:
    positives = Positives(2, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 3]))
    grouped = positives.grouped(torch.tensor([1, 1, 0, 2]))
    assert grouped.multi_hot(3).tolist() == [[0, 1, 0], [0, 0, 1]]
    head = AuxiliaryHead(4, torch.tensor([1, 1, 0, 2]), seed=1)
    with torch.no_grad():
        head.linear.weight.zero_()
    # Six outputs at score 0 cost ln 2 each, over two documents.
    assert float(head.loss(torch.randn(2, 4), positives).detach()) == pytest.approx(
        6 * math.log(2) / 2, rel=1e-6
    )


def test_the_heads_bias_starts_where_its_groups_are_as_likely_as_they_are() -> None:
    """Of 4 groups a document has 1: σ(bias) = ¼, so a head that knows nothing says what is so, and moves no feature for it."""
    group_L = torch.tensor([0, 1, 2, 3])
    head = AuxiliaryHead(5, group_L, 1, expected_groups=1.0)
    torch.testing.assert_close(torch.sigmoid(head.linear.bias), torch.full((4,), 0.25))
    with torch.no_grad():
        head.linear.weight.copy_(torch.randn(4, 5))
    positives = Positives(4, torch.arange(4), torch.arange(4))  # each group once: the shares are the bias's
    x_BD = torch.zeros(4, 5, requires_grad=True)
    (calm_BD,) = torch.autograd.grad(head.loss(x_BD, positives), x_BD)
    torch.testing.assert_close(calm_BD.sum(0), torch.zeros(5), atol=1e-6, rtol=0)
    plain = AuxiliaryHead(5, group_L, 1)
    assert not plain.linear.bias.any()
    (rough_BD,) = torch.autograd.grad(plain.loss(x_BD, positives), x_BD)
    assert float(rough_BD.sum(0).norm()) > 0.1, "at 0 all documents are pushed the same way"
    crowded = AuxiliaryHead(5, group_L, 1, expected_groups=9.0)
    assert not crowded.linear.bias.any(), "a share is at most a half"


def test_rates_warm_up_and_fall_to_zero() -> None:
    factors = [cosine_with_warmup(s, 4, 20) for s in range(21)]
    assert factors[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert factors[20] == pytest.approx(0.0)
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_a_mean_auxiliary_loss_is_the_sum_over_all_groups() -> None:
    group_L = torch.tensor([0, 1, 2, 3, 1])
    positives = Positives(2, torch.tensor([0, 1]), torch.tensor([4, 0]))
    x_BD = torch.randn(2, 6)
    total, mean = (AuxiliaryHead(6, group_L, 1, how).loss(x_BD, positives) for how in ("sum", "mean"))
    torch.testing.assert_close(total, 4 * mean)


def test_an_intermediate_layer_without_activation_is_linear() -> None:
    layer = IntermediateLayer(4, 9, "none")
    a, b = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(layer(a + b) + layer(torch.zeros(3, 4)), layer(a) + layer(b))
