"""What a step of the paper's recipe costs: the real size is planned, a GPU is asked for, and the rows are a ledger's."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from xmcbench.cli import main
from xmcbench.errors import ConfigError
from xmcbench.plan import Project, Run
from xmcbench.recipe import TrainRecipe
from xmcbench.reporting.ledger import COLUMNS
from xmcbench.training.paper_cost import Encoders, cost_of, cost_of_all
from xmcbench.training.stand_ins import DEPTHS, KINDS, VOCABULARY, stand_in_encoder

from ..conftest import ROOT
from ..recipes import changed

LABELS = 640


def small(run: Run) -> Run:
    """The run with eight documents of eight tokens a step, so that a CPU takes seconds."""
    assert isinstance(run.recipe, TrainRecipe)
    values: dict[str, Any] = {
        "training": {"batch_size": 8, "threads": 2},
        "data": {"max_length": 8},
    }
    if run.recipe.auxiliary is not None:
        values["auxiliary"] = {"groups": 16}
    return changed(run, values)


def run_of(project: Project, dataset: str, method: str) -> Run:
    return next(run for run in project.cost_runs() if (run.dataset, run.method) == (dataset, method))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    """One encoder of few tokens in place of all: what is tested is not the encoder."""
    folder = tmp_path_factory.mktemp("encoders")
    name = next(name for name, kind in KINDS.items() if kind == "roberta")
    small = stand_in_encoder(name, ["a b c"] * 9, folder / "small")
    return Encoders(folder, dict.fromkeys(KINDS, (small, 200)))


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmcbench.training.paper_cost.STEPS", 1)


def test_every_set_of_the_paper_is_planned_with_its_recipe(project: Project) -> None:
    runs = project.cost_runs()
    of_paper = {run.dataset for run in project.runs("paper")}
    assert {run.dataset for run in runs} == of_paper
    for dataset in of_paper:
        methods = {run.method for run in runs if run.dataset == dataset}
        assert {"dense", "dense_bottleneck", "fixed_fan_in_set", "fixed_fan_in_set_materialised"} <= methods
    theirs = {(r.dataset, r.method): r.recipe for r in project.runs("paper")}
    same = [run for run in runs if (run.dataset, run.method) in theirs]
    assert len(same) > 20 and all(run.recipe == theirs[run.dataset, run.method] for run in same)


@pytest.mark.parametrize(
    ("dataset", "method"),
    [
        ("wiki10", "fixed_fan_in_set_intermediate"),
        ("amazon670k", "fixed_fan_in_set_aux"),
        ("amazon3m", "dense_bf16_chunked"),
        ("wiki500k", "masked_rigl"),
    ],
)
def test_rows_tell_seconds_and_memory_by_kind(
    project: Project, encoders: Encoders, dataset: str, method: str
) -> None:
    run = small(run_of(project, dataset, method))
    rows = {row["metric"]: row["value"] for row in cost_of(run, LABELS, 5.0, encoders, "cpu")}
    assert rows["step_seconds"] > 0
    assert rows["memory_classifier"] == sum(
        v for k, v in rows.items() if k.startswith("memory_") and k != "memory_classifier"
    )
    assert isinstance(run.recipe, TrainRecipe)
    assert ("rewire_seconds" in rows) == (run.recipe.topology is not None)
    assert not {"peak_device", "rewire_peak_device"} & set(rows), "a CPU has no such number"


def test_memory_is_that_of_the_label_count(project: Project, encoders: Encoders) -> None:
    run = small(run_of(project, "wiki10", "fixed_fan_in_set"))
    rows = {row["metric"]: row["value"] for row in cost_of(run, LABELS, 5.0, encoders, "cpu")}
    fan_in = 64
    assert rows["memory_weight"] == rows["measured_weight"] == LABELS * (fan_in + 1) * 4
    assert rows["memory_index"] == rows["measured_index"] == LABELS * fan_in * 2


def test_what_does_not_fit_is_a_row_and_the_others_go_on(
    project: Project, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [small(run_of(project, "wiki10", m)) for m in ("dense", "fixed_fan_in_set")]
    kept: list[dict[str, Any]] = []

    def no_room(run: Run, *rest: Any) -> list[dict[str, Any]]:
        if run.method == "dense":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return cost_of(run, LABELS, *rest[1:])

    monkeypatch.setattr("xmcbench.training.paper_cost.cost_of", no_room)
    cost_of_all(runs, project.datasets, encoders, "cpu", logging.getLogger("xmcbench"), kept.extend)
    assert all(set(row) <= set(COLUMNS) for row in kept)
    assert [row["metric"] for row in kept if row["method"] == "dense"] == ["out_of_memory"]
    assert "step_seconds" in {row["metric"] for row in kept if row["method"] == "fixed_fan_in_set"}
    assert {row["budget"] for row in kept} == {"paper_cost"}


def test_a_full_encoder_is_planned_for_every_kind() -> None:
    assert set(DEPTHS) == set(KINDS) and set(VOCABULARY) == set(KINDS.values())


def test_a_machine_without_a_gpu_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    out = tmp_path / "cost.csv"
    assert main(["paper-cost", "--out", str(out)]) == 2
    assert "no CUDA device" in capsys.readouterr().err and not out.exists()


def test_an_unknown_name_on_the_command_line_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cost.csv"
    command = ["--config", str(ROOT / "config"), "paper-cost", "--device", "cpu", "--out", str(out)]
    assert main([*command, "--dataset", "amazon3n"]) == 2
    assert "--dataset: unknown value 'amazon3n'; allowed: amazon3m" in capsys.readouterr().err
    assert not out.exists()


def test_an_unknown_method_names_the_file(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config" / "paper_cost.yaml").write_text("wiki10: [nothing]\n")
    with pytest.raises(ConfigError, match=r"paper_cost\.yaml.*'methods'.*unknown value 'nothing'"):
        Project(tmp_path / "config").check()
