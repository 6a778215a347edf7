"""What the Triton kernels must not get wrong: rounding, skipped labels, pairs given twice, numbers that are not finite, bounds."""

import dataclasses

import pytest
import torch

from xmcbench.errors import KernelError, NonFiniteError, ShapeError
from xmcbench.kernels import native, operators
from xmcbench.output import build, dense_chunked
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.training.losses import LOSSES

triton = pytest.importorskip("triton")
from xmcbench.kernels.triton import shapes  # noqa: E402
from xmcbench.kernels.triton.by_input import feature_gradient_way  # noqa: E402
from xmcbench.kernels.triton.update import label_key, random16  # noqa: E402

from .cases import assert_refused, make, truth  # noqa: E402
from .triton_cases import NARROW, assert_same, fused, moved  # noqa: E402

#: The interpreter's numpy speaks of overflows where a GPU says nothing.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
tl = triton.language


@triton.jit(do_not_specialize=["key", "label"])
def random_bits(out_ptr, key, label, BLOCK: tl.constexpr):
    slot = tl.arange(0, BLOCK)
    mixed = label_key(key.to(tl.int64), label.to(tl.int64))
    tl.store(out_ptr + slot, random16(mixed, slot).to(tl.int32))


def test_the_random_bits_are_those_of_the_cpu(device: torch.device) -> None:
    def expected(key: int, label: int, slot: int) -> int:
        h = (key + label * 0x9E3779B97F4A7C15) % 2**64
        h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) % 2**64
        x = (((h ^ (h >> 31)) >> 16) % 2**32) ^ (slot * 0x9E3779B1) % 2**32
        x = ((x ^ (x >> 16)) * 0x7FEB352D) % 2**32
        x = ((x ^ (x >> 15)) * 0x846CA68B) % 2**32
        return x >> 16

    for key, label in ((0, 0), (5, 7), (2**62 + 12345, 2_812_280)):
        out = torch.zeros(64, dtype=torch.int32, device=device)
        random_bits[(1,)](out, key, label, BLOCK=64)
        assert out.tolist() == [expected(key, label, slot) for slot in range(64)]


@pytest.mark.skipif(native() is None, reason="the package was built without its CPU kernels")
@pytest.mark.parametrize("group", [1, 8])
def test_bfloat16_weights_are_rounded_as_on_the_cpu(group: int, device: torch.device) -> None:
    """Small whole numbers and powers of two: every sum is exact, so that only rounding could differ."""
    case = make(4, 12, 24, 5, weight_dtype=NARROW, group=group)
    case = dataclasses.replace(
        case,
        x_BD=case.x_BD.round(),
        weight_LK=(case.weight_LK.float() * 4).round().to(NARROW),
        bias_L=case.bias_L.round(),
    )
    ends = []
    for backend, there in (("cpu", case), ("triton", moved(case, device))):
        weight, bias = there.weight_LK.clone(), there.bias_L.clone()
        plain = dataclasses.replace(case.update("sgd", weight, 0.0), rate=2.0**-9)
        operators.train_step(
            there.x_BD.t(),
            weight,
            there.index_HK,
            bias,
            *there.pairs,
            plain,
            plain,
            loss="squared_hinge",
            group=group,
            key=2**40 + 3,
            backend=backend,
        )
        ends.append(weight.cpu())
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], case.weight_LK)


@pytest.mark.parametrize("group", [1, 16])
def test_easy_negatives_are_skipped_but_decay_and_moments_go_on(
    group: int, way: str, device: torch.device
) -> None:
    case = make(20, 30, 16, 4, positive_share=0.0, group=group)
    case = dataclasses.replace(case, weight_LK=case.weight_LK * 0.01, bias_L=torch.full((16,), -3.0))
    for rule in ("sgd", "momentum", "adamw"):
        ours = fused(moved(case, device), "squared_hinge", rule)
        assert ours["skipped"] == 16 and ours["zeros"] == 20 * 16 and ours["loss"] == 0
        assert not ours["grad_x"].any()
        assert_same(ours, truth(case, "squared_hinge", rule), case)
        assert not torch.equal(ours["weight"].cpu(), case.weight_LK)


@pytest.mark.parametrize("group", [1, 10])
def test_a_pair_given_twice_counts_once(group: int, device: torch.device) -> None:
    case = moved(make(40, 12, 20, 4, positive_share=0.2, group=group), device)
    label_P, row_P = case.pairs
    twice = label_P.repeat_interleave(2), row_P.repeat_interleave(2)
    for loss in operators.LOSSES:
        once, doubled = fused(case, loss, "sgd"), fused(case, loss, "sgd", pairs=twice)
        assert once["loss"] == doubled["loss"] and torch.equal(once["weight"], doubled["weight"])


def test_extreme_scores_have_finite_loss_and_right_gradient(device: torch.device) -> None:
    bias = torch.tensor([-300.0, -80.0, -20.0, 0.0, 20.0, 80.0, 300.0])
    base = make(9, 5, 7, 2)
    case = dataclasses.replace(base, weight_LK=torch.zeros(7, 2), bias_L=bias)
    expected = truth(case, "bce", "sgd")
    del expected["zeros"]  # a sigmoid of −80 is 1e-35, one of −300 is zero in either
    assert_same(fused(moved(case, device), "bce", "sgd"), expected, case)


@pytest.mark.parametrize("group", [1, 16])
def test_a_label_whose_gradient_is_not_finite_is_named_and_left_alone(
    group: int, way: str, device: torch.device
) -> None:
    for wrong in (float("inf"), float("nan"), 3e38):
        for loss in operators.LOSSES:
            case = make(10, 6, 20, 6, group=group)
            case.weight_LK[17] = wrong
            if loss == "bce" and wrong == 3e38:
                continue  # σ(±∞) is finite, and so is the step
            there = moved(case, device)
            ours = fused(there, loss, "sgd")
            assert ours["bad"] == 17
            torch.testing.assert_close(
                ours["weight"][17], there.weight_LK[17], equal_nan=True, rtol=0, atol=0
            )
            assert bool(torch.isfinite(ours["weight"][:17]).all()) and not torch.equal(
                ours["weight"][0], there.weight_LK[0]
            )


def test_without_atomics_every_run_ends_in_the_same_bits(device: torch.device) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        for group in (1, 16):
            case = moved(make(30, 12, 32, 8, group=group), device)
            one, other = fused(case, "bce", "adamw"), fused(case, "bce", "adamw")
            assert torch.equal(one["grad_x"], other["grad_x"]) and torch.equal(one["weight"], other["weight"])
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_feature_gradient_has_no_atomics_where_torch_is_told_to_be_deterministic() -> None:
    assert feature_gradient_way() == "atomic" and feature_gradient_way(deterministic=True) == "by_input"


@pytest.mark.parametrize(
    ("dtype", "rule"), [("float32", "adamw"), ("bfloat16", "adamw"), ("float32", "sgd"), ("bfloat16", "sgd")]
)
def test_a_dense_chunk_that_is_not_finite_is_named_and_left_alone(
    dtype: str, rule: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain SGD in float32 goes through the library's sum of products, everything else through the kernel."""
    # A GPU's chunk follows from bytes: scores of 6 documents.
    monkeypatch.setattr(dense_chunked, "CHUNK_BYTES", 4 * 4 * 6)
    recipe = Output(kind="dense_chunked", chunk=4, backend="triton", weight_dtype=dtype)
    layer = build(8, 10, recipe, torch.Generator().manual_seed(1)).to(device)
    with torch.no_grad():
        layer.bias_L[5] = float("nan")
    before = [p.detach().clone() for p in layer.parameters()]
    kinds = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimizer = kinds[rule](layer.parameters(), lr=0.1)
    empty = torch.empty(0, dtype=torch.int64, device=device)
    with pytest.raises(NonFiniteError, match=r"labels 4 … 7"):
        layer.train_step(
            torch.randn(6, 8, device=device),
            Positives(6, empty, empty),
            loss=LOSSES["bce"](),
            optimizer=optimizer,
        )
    for was, now in zip(before, layer.parameters(), strict=True):
        torch.testing.assert_close(now[4:8], was[4:8], rtol=0, atol=0, equal_nan=True)
        assert not torch.equal(now[:4], was[:4]) and not torch.equal(now[8:], was[8:])


def test_a_batch_beyond_the_registers_is_refused(device: torch.device) -> None:
    case = moved(make(3, 4, 2, 2), device)
    x_DB = torch.zeros(4, shapes.MOST_DOCUMENTS + 1, device=device)
    with pytest.raises(KernelError, match="a batch of 4097; allowed: up to 4096"):
        operators.scores(x_DB, *case.layer, "triton")


def test_scratch_is_bounded_by_a_chunk_at_any_shape() -> None:
    """By hand, K = 32, B = 64: 4·64 bytes of score gradients a label, and 16 a connection of old weight, keys and order."""
    assert shapes.chunk_labels(64, 1) == 131_072 and shapes.chunk_labels(64, 24) == 5461 * 24
    assert shapes.chunk_labels(64, 1, 32) == (32 << 20) // (4 * 64 + 16 * 32)
    for documents, fan_in, group in ((64, 32, 1), (32, 128, 1), (512, 32, 16), (4096, 256, 2)):
        sizes = dict(features=768, fan_in=fan_in, documents=documents, group=group)
        less, more = (shapes.scratch_bytes(2_812_281, **sizes, by_input=way) for way in (False, True))
        assert 0 < more - less <= 32 << 20 or group >= shapes.ENOUGH_LABELS
        assert more < (32 << 20) + 8 * documents * 768 + 12 * 2_812_281
    few = dict(features=768, fan_in=32, documents=64, group=16)
    added = shapes.scratch_bytes(100, **few, by_input=True) - shapes.scratch_bytes(100, **few)
    assert added == 100 * 32 * 4 + 7 * 32 * 12


@pytest.mark.parametrize(("dtype", "value"), [(torch.float32, "nan"), (NARROW, "inf")])
def test_features_that_are_not_finite_move_nothing(
    dtype: torch.dtype, value: str, device: torch.device
) -> None:
    case = make(9, 21, 40, 5)
    case.x_BD[8, 20] = float(value)
    case = moved(dataclasses.replace(case, x_BD=case.x_BD.to(dtype)), device)
    assert_refused(case, case.pairs, NonFiniteError, "features x_BD are not", backend="triton")


@pytest.mark.parametrize(
    ("label", "row", "said"),
    [(40, 0, "label_P holds 40; allowed: 0 … 39"), (0, -2, "row_P holds -2; allowed: 0 … 8")],
)
def test_a_pair_outside_of_the_batch_moves_nothing(
    label: int, row: int, said: str, device: torch.device
) -> None:
    case = moved(make(9, 21, 40, 5), device)
    label_P = torch.tensor([3, label, 7], device=device)
    row_P = torch.tensor([1, row, 2], device=device)
    assert_refused(case, (label_P, row_P), ShapeError, said, backend="triton")
