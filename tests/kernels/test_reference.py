"""The truth itself, by hand and by differences."""

import math

import torch

from xmcbench.kernels import reference
from xmcbench.kernels.rounding import stochastic_bfloat16
from xmcbench.kernels.update import Update, update_of

from .cases import make

X = torch.tensor([[1.0, 10.0, 100.0], [2.0, 0.0, -1.0]])
INDEX = torch.tensor([[0, 2], [1, 2]])
WEIGHT = torch.tensor([[1.0, 0.5], [-1.0, 0.25]])
BIAS = torch.tensor([0.5, -2.0])


def test_scores_by_hand() -> None:
    assert reference.scores(X, WEIGHT, INDEX, BIAS).tolist() == [[51.5, 13.0], [2.0, -2.25]]


def test_a_step_by_hand() -> None:
    weight, bias = WEIGHT.clone(), BIAS.clone()
    y = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    sgd = Update("sgd", rate=0.1)
    found = reference.train_step(X, weight, INDEX, bias, y, "squared_hinge", sgd, sgd)
    # z = [[51.5, 13], [2, -2.25]]: the positive has its margin; 13 and 2 are wrong negatives; −2.25 is an easy one.
    assert found["loss"] == (14**2 + 3**2) / 2
    assert found["zero_share"] == 0.5
    # ∂/∂z = 2·(z+1)/B = 14 for (document 0, label 1) and 3 for (document 1, label 0).
    assert found["grad_x_BD"].tolist() == [[0.0, -14.0, 3.5], [3.0, 0.0, 1.5]]
    expected = torch.tensor([[1 - 0.1 * 6, 0.5 + 0.1 * 3], [-1 - 0.1 * 140, 0.25 - 0.1 * 1400]])
    torch.testing.assert_close(weight, expected)
    torch.testing.assert_close(bias, torch.tensor([0.5 - 0.3, -2.0 - 1.4]))


def test_gradients_are_right_in_fp64() -> None:
    case = make(3, 7, 5, 4)
    inputs = [t.double().requires_grad_(True) for t in (case.x_BD, case.weight_LK, case.bias_L)]

    def total(x_BD: torch.Tensor, weight_LK: torch.Tensor, bias_L: torch.Tensor) -> torch.Tensor:
        z_BL = reference.scores(x_BD, weight_LK, case.index_LK, bias_L)
        y_BL = case.y_BL.double()
        return reference.loss_terms(z_BL, y_BL, "bce") + reference.loss_terms(z_BL, y_BL, "squared_hinge")

    assert torch.autograd.gradcheck(total, inputs)


def test_updates_are_those_of_the_torch_optimisers() -> None:
    for make_optimizer in (
        lambda p: torch.optim.AdamW([p], lr=0.05, weight_decay=0.1),
        lambda p: torch.optim.SGD([p], lr=0.05, momentum=0.9),
        lambda p: torch.optim.SGD([p], lr=0.05),
    ):
        ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
        our_optimizer, their_optimizer = make_optimizer(ours), make_optimizer(theirs)
        for step in range(5):
            gradient = torch.full((3, 4), math.cos(step)) + torch.arange(12.0).view(3, 4) / 10
            theirs.grad = gradient.clone()
            their_optimizer.step()
            update = update_of(our_optimizer, ours)
            for rows in (slice(0, 2), slice(2, 3)):  # in blocks of rows
                update.apply(ours, gradient[rows], rows)
        torch.testing.assert_close(ours, theirs)
        for key, value in their_optimizer.state[theirs].items():
            torch.testing.assert_close(our_optimizer.state[ours][key], value)


def test_stochastic_rounding_is_right_on_average_and_leaves_what_fits() -> None:
    low, high = torch.tensor(1.0), torch.tensor(1.0078125)  # neighbours in bfloat16
    wide = (low + 0.25 * (high - low)).repeat(40_000)
    rounded = stochastic_bfloat16(wide, torch.Generator().manual_seed(0)).float()
    assert set(rounded.tolist()) == {1.0, 1.0078125}
    assert abs(float((rounded == high).float().mean()) - 0.25) < 0.01
    fits = torch.tensor([0.0, -3.5, 1e30, 2.0**-126])
    assert torch.equal(stochastic_bfloat16(fits.bfloat16().float()), fits.bfloat16())


def test_top_k_by_hand() -> None:
    score, label = reference.top_k(torch.tensor([[1.0, 3.0, 3.0, 2.0]]), 3)
    assert score.tolist() == [[3.0, 3.0, 2.0]] and label.tolist() == [[1, 2, 3]]
