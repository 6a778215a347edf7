"""What a GPU is asked while a run trains, with stand-ins for torch's calls; and which of a run's numbers are kept."""

import pytest
import torch

from xmcbench.reporting.collect import resource_records
from xmcbench.training.device_meter import DeviceMeter

TIMING = {
    "parameters": {"classifier": 1, "encoder": 2},
    "memory_bytes": {"weight": 4},
    "peak_rss_bytes": 8,
    "train_seconds": 1.0,
    "epoch_seconds": [],
    "predict_seconds": 0.5,
    "predict_documents": 10,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down which questions torch.cuda is asked, in order."""
    calls: list[str] = []

    def stand_in(name: str, answer: int | None = None) -> None:
        def call(device: torch.device) -> int | None:
            calls.append(f"{name} {device}")
            return answer

        monkeypatch.setattr(torch.cuda, name, call)

    stand_in("synchronize")
    stand_in("reset_peak_memory_stats")
    stand_in("max_memory_allocated", 3 * 2**30)
    return calls


def test_the_work_before_ends_before_the_peak_is_forgotten(asked: list[str]) -> None:
    """Forgotten first, memory of work still under way would count as this run's."""
    meter = DeviceMeter(torch.device("cuda:1"))
    meter.start()
    assert asked == ["synchronize cuda:1", "reset_peak_memory_stats cuda:1"]
    assert meter.peak_bytes() == 3 * 2**30


def test_a_cpu_is_asked_nothing(asked: list[str]) -> None:
    meter = DeviceMeter(torch.device("cpu"))
    meter.start()
    meter.wait()
    assert meter.peak_bytes() is None
    assert asked == []


def test_only_a_run_on_a_gpu_has_a_peak_of_it() -> None:
    assert "peak_device" not in {row["metric"] for row in resource_records(TIMING)}
    (row,) = (r for r in resource_records(TIMING | {"peak_device_bytes": 99}) if r["metric"] == "peak_device")
    assert (row["value"], row["unit"], row["split"]) == (99, "B", "train")


def test_a_run_beside_other_work_has_no_seconds_and_keeps_its_memory() -> None:
    timing = TIMING | {"epoch_seconds": [1.0], "peak_device_bytes": 99}
    alone = {row["metric"] for row in resource_records(timing)}
    shared = {row["metric"] for row in resource_records(timing | {"shared_machine": True})}
    assert alone - shared == {"train_seconds", "epoch_seconds", "predict_documents_per_second"}
    assert {"peak_device", "memory_classifier", "peak_rss"} <= shared <= alone
