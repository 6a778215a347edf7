"""The memory meter, by tensors whose bytes are known."""

import pytest
import torch

from xmcbench.kernels.dispatch import native
from xmcbench.output import build
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.reporting.figures.accuracy_memory import pareto_front
from xmcbench.training.losses import SquaredHinge
from xmcbench.training.memory_meter import MemoryMeter, known_tensors, measured_memory


def test_a_peak_holds_what_lived_together_and_no_more() -> None:
    known = torch.ones(1000)
    with MemoryMeter([known]) as meter:
        first = torch.zeros(100)  # 400 bytes
        view = first[:50].view(5, 10)  # the same storage
        second = known * 2  # 4000 bytes
        del second
        third = torch.zeros(200, dtype=torch.float64)  # 1600 bytes, after the second is gone
        known.add_(1)
    assert sorted(count for count, _ in meter.peak) == [400, 4000]
    assert view.shape == (5, 10) and len(third) == 200


def test_a_freed_tensor_makes_room() -> None:
    with MemoryMeter([]) as meter:
        for _ in range(10):
            step = torch.zeros(250)
            del step
    assert [count for count, _ in meter.peak] == [1000]


def test_the_kinds_of_a_dense_step_by_hand() -> None:
    features, labels, documents = 40, 90, 16
    layer = build(features, labels, Output(), torch.Generator().manual_seed(0))
    # The fused rule, as in training: others make temporary arrays of the weights' size.
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    x_BD = torch.randn(documents, features)
    positives = Positives(documents, torch.arange(documents), torch.arange(documents))
    layer.train_step(x_BD, positives, loss=SquaredHinge(), optimizer=optimizer)
    with MemoryMeter(known_tensors(layer, optimizer, x_BD, positives.row_P, positives.label_P)) as meter:
        layer.train_step(x_BD, positives, loss=SquaredHinge(), optimizer=optimizer)
    kinds = measured_memory(layer, optimizer, meter, documents)
    weights = 4 * labels * (features + 1)
    assert kinds["weight"] == weights
    assert kinds["optimizer"] == 2 * weights + 2 * 4  # two moments and a count, of weight and bias
    assert kinds["gradient"] == 4 * labels * features
    assert kinds["scores"] == 2 * 4 * documents * labels


def test_a_kernel_counts_what_it_holds_for_itself() -> None:
    """Packed features, partial sums of their gradient (one, and two a thread: no more than there are partitions of 1,024 labels), and a
    thread's buffers."""
    if native() is None:
        pytest.skip("built without the CPU kernels")
    # More documents than any instruction set takes at once, and rows of weights that fill its vectors: 16 floats at most.
    features, documents, fan_in = 384, 256, 16
    x_BD, positives = (
        torch.randn(documents, features),
        Positives(documents, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)),
    )

    def held(threads: int, labels: int = 2048) -> int:
        layer = build(features, labels, Output(kind="fixed_fan_in", fan_in=fan_in), torch.Generator())
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with MemoryMeter([]) as meter:
                layer.train_step(x_BD, positives, loss=SquaredHinge(), optimizer=optimizer)
        finally:
            torch.set_num_threads(before)
        return meter.kernel_bytes

    arrays = 3 * 4 * features * documents + 2048  # half a page between the features and their gradient
    own = held(2) - held(1)  # of a block of labels the weight gradients and four more numbers each
    assert own == pytest.approx(4 * 16_384 * (1 + 4 / fan_in), rel=0.01) and held(1) == pytest.approx(
        arrays + own, rel=0.001
    )
    # Whichever thread comes first, and however many there are for two partitions.
    assert {held(2) for _ in range(20)} == {held(2)} == {held(4)}
    one = 4 * features * documents
    growth = [held(threads, 16 * 1024) - held(1, 2048) for threads in (1, 2, 4)]
    assert growth == [one, one * 3 + own, one * 7 + own * 3], (
        "three sums, then five, then nine, where there were two"
    )
    assert held(8, 16 * 1024) - held(1, 2048) == one * 14 + own * 7, "no more sums than partitions"
    with MemoryMeter([]) as meter:
        torch.zeros(10)
    assert meter.kernel_bytes == 0


def test_measuring_changes_no_bit() -> None:
    layers = [build(12, 30, Output(kind="fixed_fan_in", fan_in=5), torch.Generator()) for _ in range(2)]
    x_BD, positives = torch.randn(4, 12), Positives(4, torch.arange(4), torch.arange(4))
    for number, layer in enumerate(layers):
        optimizer = torch.optim.AdamW(layer.parameters())
        if number:
            with MemoryMeter([]):
                layer.train_step(x_BD, positives, loss=SquaredHinge(), optimizer=optimizer)
        else:
            layer.train_step(x_BD, positives, loss=SquaredHinge(), optimizer=optimizer)
    for ours, theirs in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(3.0, 5.0), (1.0, 4.0), (2.0, 4.0), (5.0, 9.0), (4.0, 4.9), (1.0, 3.0)]
    assert pareto_front(points) == [(1.0, 4.0), (3.0, 5.0), (5.0, 9.0)]
    assert pareto_front([]) == []


def test_what_an_operator_holds_inside_itself_on_a_gpu_is_the_allocators_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the start 1,000 bytes are held; at the peak 9,000 more, of which torch operations made 400."""
    peaks = iter([1_000, 10_000])
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(peaks))
    with MemoryMeter([], "cuda") as meter:
        kept = torch.ones(100)
    assert kept.nbytes == 400 and meter.kernel_bytes == 8_600
