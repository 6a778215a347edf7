"""Trials of a random search: drawn alike for all, planned as runs; which of them takes a method's place."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xmcbench.cli import main
from xmcbench.errors import ConfigError
from xmcbench.plan import Project, Run
from xmcbench.recipe import TrainRecipe
from xmcbench.reporting.trials import MARGIN, best_trials, kept_trials, trial_scores
from xmcbench.search import Range, draw_trial

from ..conftest import ROOT
from .trial_runs import grid, trials

SPACE = {
    "rate": Range(key="a.rate", low=1e-4, high=1e-1),
    "dropout": Range(key="a.dropout", low=0.0, high=0.5, scale="linear"),
    "kind": Range(key="b", values=["x", "y"]),
}


@given(st.text(min_size=1, max_size=9), st.integers(1, 500))
def test_draws_stay_in_range_and_follow_from_method_and_trial(method: str, trial: int) -> None:
    drawn = draw_trial(SPACE, method, trial)
    assert drawn == draw_trial(SPACE, method, trial)
    assert 1e-4 <= drawn["a.rate"] <= 1e-1 and 0 <= drawn["a.dropout"] <= 0.5 and drawn["b"] in ("x", "y")
    fewer = {name: searched for name, searched in SPACE.items() if name != "dropout"}
    assert draw_trial(fewer, method, trial) == {k: v for k, v in drawn.items() if k != "a.dropout"}


def test_a_log_scale_draws_every_factor_alike() -> None:
    rates = [draw_trial(SPACE, "m", trial)["a.rate"] for trial in range(1, 1001)]
    assert sum(rate < 10**-2.5 for rate in rates) == pytest.approx(500, abs=80)
    assert draw_trial(SPACE, "m", 0) == {}


@pytest.mark.parametrize(
    "keys",
    [
        {"low": 1.0},
        {"low": 2.0, "high": 1.0},
        {"low": 0.0, "high": 1.0},
        {"values": [1], "low": 0.1, "high": 1.0},
    ],
)
def test_a_range_that_means_nothing_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Range.model_validate({"key": "a", **keys})


def test_trials_are_runs_of_their_own_and_the_first_is_the_method_itself(config: Path) -> None:
    runs = {run.method: run for run in trials(config)}
    assert list(runs) == [f"{m}@trial={n}" for m in ("dense", "fixed_fan_in_set") for n in range(3)]
    itself = {run.method: run for run in grid(config, seeds=[901])}
    assert runs["dense@trial=0"].recipe == itself["dense"].recipe.model_copy(
        update={"method": "dense@trial=0"}
    )
    assert set(runs["dense@trial=1"].searched) == {"output_optimizer.learning_rate", "training.loss"}
    assert "topology.fraction" in runs["fixed_fan_in_set@trial=1"].searched
    rates = [runs[f"dense@trial={n}"].value_of("output_optimizer.learning_rate") for n in range(3)]
    assert len(set(rates)) == 3 and all(0.001 <= rate <= 0.1 for rate in rates)


def test_all_methods_are_those_of_the_folder_but_some(config: Path) -> None:
    (config / "methods" / "mine.yaml").write_text("extends: dense\norder: 5\n")
    names = [run.method for run in grid(config, methods="all", but=["dense"])]
    assert "mine" in names and "dense" not in names and not any(name.startswith("_") for name in names)
    methods = Project(config).methods
    assert set(names) == {n for n, m in methods.items() if m.runner != "foreign"} - {"dense"}
    with pytest.raises(ConfigError, match="key 'methods': unknown value 'dence'"):
        grid(config, methods="all", but=["dence"])


def test_tuning_searches_alike_and_never_sees_test(project: Project) -> None:
    runs = project.runs("tuning")
    by_method: dict[str, list[Run]] = {}
    for run in runs:
        by_method.setdefault(run.base_method, []).append(run)
        assert isinstance(run.recipe, TrainRecipe) and run.recipe.evaluation.split == "validation"
    pairs = {name for name in by_method if name in project.twins}
    rivals = {"dense", "dense_aux", "dense_intermediate", "dense_bottleneck"}
    assert {name: len(its) for name, its in by_method.items()} == {
        n: 15 if n in rivals else 8 for n in by_method
    }
    assert all(project.twins[name] in pairs for name in pairs), (
        "8 + 7 trials, one of them the same method twice"
    )
    common = set(by_method["dense"][0].searched)
    assert all(common <= set(its[0].searched) for its in by_method.values())
    others = {
        run.seed for name in ("quick", "quick_seeds", "methods", "matrix") for run in project.runs(name)
    }
    assert not {run.seed for run in runs} & others


def test_a_trial_takes_a_methods_place_only_if_it_is_better_by_more_than_chance() -> None:
    def rows(**score: list[float]) -> list[dict[str, object]]:
        return [
            {"method": f"{method}@trial={number}", "metric": metric, "k": k, "value": str(value)}
            for method, values in score.items()
            for number, value in enumerate(values)
            for metric, k in (("P", 1), ("P", 3), ("P", 5), ("PSP", 1))
        ]

    found = rows(near=[40.0, 40.0 + MARGIN, 30.0], better=[40.0, 10.0, 40.01 + MARGIN], first=[40.0, 39.0])
    assert best_trials(trial_scores(found, {})) == {
        "near": "near@trial=1",
        "better": "better@trial=2",
        "first": "first@trial=0",
    }
    assert kept_trials(trial_scores(found, {})) == {
        "near": "near@trial=0",
        "better": "better@trial=2",
        "first": "first@trial=0",
    }
    unknown = [row for row in found if row["method"] != "near@trial=0"]
    assert set(kept_trials(trial_scores(unknown, {}))) == {"better", "first"}, "how it stands is not known"


def test_twins_take_from_one_search_and_each_is_measured_against_itself() -> None:
    def rows(method: str, *score: float) -> list[dict[str, object]]:
        trials = enumerate(score)
        return [
            {"method": f"{method}@trial={n}", "metric": "P", "k": k, "value": str(value)}
            for n, value in trials
            for k in (1, 3, 5)
        ]

    twins = {"true": "masked", "masked": "true", "lone": "unsearched", "unsearched": "lone"}
    found = rows("masked", 41.0, 42.5, 40.0) + rows("true", 40.0, 39.0, 42.5) + rows("lone", 1.0, 9.0)
    assert trial_scores(found, twins)["true"] == pytest.approx(
        {"true@trial=0": 40.0, "true@trial=1": 39.0, "true@trial=2": 42.5}
        | {"masked@trial=1": 42.5, "masked@trial=2": 40.0}
    ), "the twin's trial 0 is its own, run twice"
    assert best_trials(trial_scores(found, twins)) == {
        "true": "true@trial=2",
        "masked": "masked@trial=1",
        "lone": "lone@trial=1",
    }, "of equal trials its own"
    found = rows("masked", 41.0, 41.5) + rows("true", 40.0, 39.0)
    assert kept_trials(trial_scores(found, twins)) == {"true": "masked@trial=1", "masked": "masked@trial=0"}
    assert kept_trials(trial_scores(found, {})) == {"true": "true@trial=0", "masked": "masked@trial=0"}


def test_a_search_without_trials_is_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(ROOT / "config"), "tuned", "--ledger", str(tmp_path / "none.csv")]) == 2
    assert re.search(r"none\.csv: no trials there", capsys.readouterr().err)


def test_a_ledger_that_is_not_of_a_search_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ledger = ROOT / "results" / "reference" / "methods.csv"
    assert main(["--config", str(ROOT / "config"), "tuned", "--ledger", str(ledger)]) == 2
    assert re.search(
        r"methods\.csv: method '\w+' is no trial; allowed: METHOD@trial=N", capsys.readouterr().err
    )


def test_who_reads_the_search_may_stop_reading() -> None:
    command = [sys.executable, "-m", "xmcbench", "--config", str(ROOT / "config"), "tuned"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
