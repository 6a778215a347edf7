"""Stochastic rounding to E4M3, and the loss gradient written where the scores were."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.errors import ConfigError
from xmcbench.kernels.rounding import stochastic_e4m3
from xmcbench.output import build
from xmcbench.output.dense import Dense
from xmcbench.output.dense_skip_loss import DenseSkipLoss
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.training.losses import LOSSES


def rounded(values: list[float], times: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return stochastic_e4m3(torch.tensor(values).expand(times, -1), generator).float()


@pytest.mark.parametrize(
    "value, below, above",
    [
        (1.03, 1.0, 1.125),  # 3 bits of mantissa: steps of 1/8
        (-0.3, -0.3125, -0.28125),
        (0.003, 0.001953125, 0.00390625),  # below 2⁻⁶ steps are 2⁻⁹
        (-0.0001, -0.001953125, 0.0),
        (440.0, 416.0, 448.0),
    ],
)
def test_a_value_becomes_one_of_its_neighbours_and_is_right_on_average(
    value: float, below: float, above: float
) -> None:
    draws = rounded([value], 40_000)[:, 0]
    assert set(draws.tolist()) == {below, above}
    share = (value - below) / (above - below)
    # Six standard deviations of a share of 40,000 draws.
    assert float((draws == above).float().mean()) == pytest.approx(share, abs=6 * 0.5 / 200)


def test_too_large_values_saturate_and_representable_ones_stay() -> None:
    assert rounded([1e9, -1e9, 460.0], 50).unique(dim=0).tolist() == [[448.0, -448.0, 448.0]]
    every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    every = every[every.float().isfinite()]
    assert torch.equal(stochastic_e4m3(every.float()).float(), every.float())


@given(st.lists(st.floats(-448, 448, width=32), min_size=1, max_size=50), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_rounding_moves_by_less_than_one_step(values: list[float], seed: int) -> None:
    wide = torch.tensor(values)
    away = (rounded(values, 1, seed)[0] - wide).abs()
    step = torch.clamp(2.0 ** (torch.floor(torch.log2(wide.abs().clamp(min=1e-30))) - 3), min=2.0**-9)
    assert bool((away <= step).all())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_skipping_the_loss_trains_as_dense_does(loss: str, scale: float) -> None:
    layers = [kind(6, 9, Output(), torch.Generator().manual_seed(1)) for kind in (Dense, DenseSkipLoss)]
    x_BD = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    positives = Positives(4, torch.tensor([0, 2, 2]), torch.tensor([8, 0, 3]))
    results = []
    for layer in layers:
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01)
        step = {"loss": LOSSES[loss](), "optimizer": optimizer, "scale": scale}
        results.append([layer.train_step(x_BD, positives, **step) for _ in range(3)][-1])
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-6)
    assert results[0].zero_share == results[1].zero_share
    torch.testing.assert_close(results[0].grad_x_BD, results[1].grad_x_BD)
    torch.testing.assert_close(layers[0].weight_LD, layers[1].weight_LD)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_takes_the_place_of_the_scores(loss: str) -> None:
    z_BL = torch.randn(3, 5)
    positives = Positives(3, torch.tensor([0, 1]), torch.tensor([4, 2]))
    value, gradient_BL = LOSSES[loss]().value_and_gradient(z_BL, positives)
    kept = z_BL.clone()
    in_place = LOSSES[loss]().in_place(kept, positives)
    assert in_place[1].data_ptr() == kept.data_ptr() and torch.equal(in_place[1], gradient_BL)
    assert torch.equal(in_place[0], value)


def test_e4m3_needs_a_chunked_dense_layer() -> None:
    recipe = Output(kind="fixed_fan_in", fan_in=2, weight_dtype="float8_e4m3fn")
    with pytest.raises(ConfigError, match="float8_e4m3fn has no fan-in kernel; allowed: float32, bfloat16"):
        build(4, 3, recipe, torch.Generator())
