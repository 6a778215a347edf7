"""Honest timing: what is compared takes turns in one run, medians are kept, and each row says what it was run on."""

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from xmcbench.kernels.dispatch import native
from xmcbench.training.device_meter import DeviceMeter

THREADS = 2
Call = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """The columns that describe a measurement; None is an empty cell."""

    operator: str
    L: int
    D: int
    B: int
    K: int | None = None
    G: int | None = None
    backend: str = "cpu"
    dtype: str = "float32"
    loss: str | None = None
    optimizer: str | None = None
    threads: int = THREADS


@dataclass(frozen=True)
class Also:
    """Ours at another size, in the same turns: the columns that differ from the setting's, and the call."""

    columns: dict[str, int]
    call: Call


def compare(
    benchmark: BenchmarkFixture,
    setting: Setting,
    ours: Call,
    peers: dict[str, Call],
    rounds: int,
    device: str = "cpu",
    also: Sequence[Also] = (),
    **more: Any,
) -> None:
    """Run ours, at every size, and every peer in turn, `rounds` times after one warm-up; the medians are extra_info.

    A step's share of the square product's rate: the product takes its turns too, for a machine's pace changes in minutes.
    """
    sizes: dict[str, Call] = {str(other.columns): other.call for other in also}
    calls = {"ours": ours, **sizes, **peers}
    shared = setting.K is not None and setting.operator.endswith("train_step")
    rates: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, object] = {}

    def turn() -> None:
        if shared:
            rates.append(product_rate(device))
        for name, call in calls.items():
            wait(device)
            began = time.perf_counter()
            results[name] = call()
            wait(device)
            seconds[name].append(time.perf_counter() - began)

    torch.set_num_threads(setting.threads)
    benchmark.pedantic(turn, rounds=rounds, warmup_rounds=1)
    torch.set_num_threads(THREADS)
    median = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    if shared:
        zero_share = getattr(results["ours"], "zero_share", 0.0)
        skipped = getattr(results["ours"], "skipped_share", 0.0)
        more = {"zero_share": zero_share, **more}
        if skipped == 0:
            more["sgemm_rate"] = statistics.median(rates[1:])
    benchmark.extra_info.update(
        asdict(setting),
        seconds=median["ours"],
        also=[{**other.columns, "seconds": median[str(other.columns)]} for other in also],
        peers={n: median[n] for n in peers},
        **more,
    )


def compare_label_counts(
    benchmark: BenchmarkFixture,
    setting: Setting,
    steps: dict[int, Call],
    extra: Callable[[Call], int],
    rounds: int,
    device: str = "cpu",
) -> None:
    """Run steps over so many labels, the setting's first, in turn, and measure what each takes beyond its layer.

    Measured one after another, what differs most between them may be the machine's pace.
    """
    bytes_of = {labels: extra(call) for labels, call in steps.items()}
    also = [
        Also({"L": labels, "extra_bytes": bytes_of[labels]}, call)
        for labels, call in steps.items()
        if labels != setting.L
    ]
    compare(benchmark, setting, steps[setting.L], {}, rounds, device, also, extra_bytes=bytes_of[setting.L])


def wait(device: str) -> None:
    """Let a GPU finish what it was given: its calls return before their work is done."""
    if device != "cpu":
        torch.cuda.synchronize()


@cache
def _squares(device: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    sizes = (512, 1024, 2048) if device == "cpu" else (4096, 8192)
    return [(torch.randn(n, n, device=device), torch.randn(n, n, device=device)) for n in sizes]


def product_rate(device: str = "cpu", tries: int = 2) -> float:
    """Return multiply-add operations a second ×2 of the best square product at present, with torch's threads as they are."""
    best = 0.0
    for a, b in _squares(device):
        for _ in range(tries):
            wait(device)
            began = time.perf_counter()
            a @ b
            wait(device)
            best = max(best, 2 * len(a) ** 3 / (time.perf_counter() - began))
    return best


@cache
def sgemm_rate(device: str = "cpu") -> float:
    """Return the best of a dozen products of each size, with the threads of every row: what the machine can do."""
    torch.set_num_threads(THREADS)
    return product_rate(device, tries=12)


@cache
def copy_rate(device: str = "cpu") -> float:
    """Return bytes a second (read + written) of a large copy."""
    a = torch.zeros((64 << 20) if device == "cpu" else (1 << 30), device=device)
    b = torch.empty_like(a)
    best = 0.0
    for _ in range(5):
        wait(device)
        began = time.perf_counter()
        b.copy_(a)
        wait(device)
        best = max(best, 2 * a.nbytes / (time.perf_counter() - began))
    return best


def fastest(calls: Sequence[Call], device: str = "cpu") -> Call:
    """Return the call that was fastest in two tries each (of a rival's settings, the best one is compared)."""

    def once(call: Call) -> float:
        wait(device)
        began = time.perf_counter()
        call()
        wait(device)
        return time.perf_counter() - began

    return min(calls, key=lambda call: min(once(call) for _ in range(3)))


def extra_bytes(call: Call) -> int:
    """Return by how much the process's peak memory rises above what it held when the call began."""
    call()
    # What the first call freed, or left for the next one, is not there for the second.
    if (kernels := native()) is not None:
        kernels.free_kept()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the present
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def extra_device_bytes(call: Call) -> int:
    """Return by how much the bytes of tensors on the GPU rise above what it held when the call began."""
    call()
    meter = DeviceMeter(torch.device("cuda"))
    meter.start()
    before = meter.peak_bytes() or 0
    call()
    meter.wait()
    return (meter.peak_bytes() or 0) - before


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)
