"""Products with bfloat16 weights that are never made wide: float32 in three parts, and the dense layer's step by them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmcbench.kernels.narrow_product import bfloat16_parts
from xmcbench.output import build
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.training.losses import LOSSES

triton = pytest.importorskip("triton")

#: The interpreter's numpy speaks of overflows where a GPU says nothing.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@given(st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=20))
def test_three_parts_are_the_number_itself_and_fewer_miss_little_of_it(values: list[float]) -> None:
    wide = torch.tensor(values)
    wide[wide.abs() < 2.0**-100] = 0.0  # their last part would lie below bfloat16
    for count, miss in ((3, 0.0), (2, 2.0**-16), (1, 2.0**-8)):
        parts = list(bfloat16_parts(wide, count))
        assert len(parts) == count and all(part.dtype == torch.bfloat16 for part in parts)
        away = (sum(part.double() for part in parts) - wide.double()).abs()
        assert bool((away <= miss * wide.abs()).all())
    assert wide.tolist() == [v if abs(v) >= 2.0**-100 else 0.0 for v in torch.tensor(values).tolist()]


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_a_step_with_bfloat16_weights_is_that_of_the_same_weights_in_float32(
    rule: str, device: torch.device
) -> None:
    recipe = Output(
        kind="dense_chunked", chunk=50, backend="triton", weight_dtype="bfloat16", initial_range=0.5
    )
    narrow = build(40, 130, recipe, torch.Generator().manual_seed(1)).to(device)
    wide = build(40, 130, Output(kind="dense"), torch.Generator().manual_seed(1)).to(device)
    with torch.no_grad():
        wide.weight_LD.copy_(narrow.weight_LD)
        wide.bias_L.copy_(narrow.bias_L)
    generator = torch.Generator().manual_seed(2)
    x_BD = torch.randn(9, 40, generator=generator).to(device)
    row_P, label_P = (torch.rand(9, 130, generator=generator) < 0.05).nonzero().to(device).unbind(1)
    results = []
    for layer in (narrow, wide):
        kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
        optimizer = kinds[rule](layer.parameters(), lr=0.1)
        positives = Positives(9, row_P, label_P)
        results.append(layer.train_step(x_BD, positives, loss=LOSSES["bce"](), optimizer=optimizer))
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-5)
    torch.testing.assert_close(results[0].grad_x_BD, results[1].grad_x_BD, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(narrow.bias_L, wide.bias_L, rtol=1e-5, atol=1e-6)
    if rule == "sgd":  # of a gradient near zero AdamW takes the sign, which its last bit decides
        # Stored narrow again: one of its two neighbours. The gradient's factors have 8 bits on tensor cores: rate·Σ|g·x|·2⁻⁷.
        torch.testing.assert_close(narrow.weight_LD.float(), wide.weight_LD, rtol=2.0**-7, atol=3e-3)
    widened = build(40, 130, Output(kind="dense"), torch.Generator().manual_seed(1)).to(device)
    widened.load_state_dict({name: its.float() for name, its in narrow.state_dict().items()})
    score_Bk, label_Bk = narrow.top_k(x_BD, 5)
    expected_Bk, _ = widened.top_k(x_BD, 5)
    torch.testing.assert_close(score_Bk, expected_Bk, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(widened(x_BD).gather(1, label_Bk), expected_Bk, rtol=1e-5, atol=1e-5)
