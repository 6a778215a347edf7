"""Ledgers keep what is finished and say what is missing; documents show what they hold."""

from pathlib import Path

import pytest

from xmcbench.atomic import read_json, write_json
from xmcbench.errors import ConfigError
from xmcbench.plan import Project
from xmcbench.recipe import fingerprint
from xmcbench.reporting.collect import csv_text
from xmcbench.reporting.documents import with_numbers
from xmcbench.reporting.ledger import COLUMNS, TIMES, missing, read_ledger, record, record_times
from xmcbench.reporting.trials import best_trials, trial_scores

from ..conftest import ROOT
from .trial_runs import finish, trials


def test_documents_show_what_the_ledgers_hold(config: Path, tmp_path: Path) -> None:
    runs = trials(config)
    for run, precision in zip(runs, (40.0, 55.5, 50.0, 30.0, 20.0, 10.0), strict=True):
        finish(run, tmp_path, precision)
    record(tmp_path / "tuning.csv", runs, tmp_path)
    document = tmp_path / "page.md"
    document.write_text("# A\n<!-- ledger:tuning -->\nold\n<!-- ledger:end -->\nB\n")
    text = with_numbers(document, tmp_path, {})
    assert "old" not in text and text.startswith("# A\n") and text.endswith("\nB\n")
    best = next(line for line in text.splitlines() if "| dense | best of 3 (1) | yes |" in line)
    rate = runs[1].value_of("output_optimizer.learning_rate")
    loss = runs[1].value_of("training.loss")
    assert "55.50" in best and f"learning_rate {rate:g}, loss {loss} |" in best
    for broken, found in (
        ("nothing here", "0 blocks between 0 markers"),
        (f"{document.read_text()}<!-- ledger:methods -->\nstale\n", "1 blocks between 3 markers"),
        ("<!-- claims:test -->\nstale\n<!-- claims:end -->\n", "0 blocks between 2 markers"),
    ):
        document.write_text(broken)
        with pytest.raises(ConfigError, match=f"{found}; allowed: one block or more, each <!-- ledger:NAME"):
            with_numbers(document, tmp_path, {})


def test_a_document_of_kernels_shows_what_was_measured_and_says_what_was_not(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "<!-- kernels:gpu -->\nold\n<!-- kernels:end -->\n<!-- kernels:cpu -->\n<!-- kernels:end -->\n"
    )
    text = with_numbers(document, tmp_path, {})
    assert "old" not in text and text.count("Nothing was measured yet.") == 2
    kernels = (ROOT / "results" / "reference" / "kernels.csv").read_text()
    (tmp_path / "kernels.csv").write_text(kernels)
    machine = (ROOT / "results" / "reference" / "kernels_machine.csv").read_text()
    (tmp_path / "kernels_machine.csv").write_text(machine)
    text = with_numbers(document, tmp_path, {})
    assert (
        text.count("Nothing was measured yet.") == 1
        and "| groups of 16 | 128 | 32 |" in text.split("<!-- kernels:cpu")[1]
    )
    document.write_text("<!-- kernels:tpu -->\nstale\n<!-- kernels:end -->\n")
    with pytest.raises(ConfigError, match=r"0 blocks between 2 markers; .*kernels:cpu\|others\|gpu"):
        with_numbers(document, tmp_path, {})


def test_runs_of_several_data_sets_are_no_seeds_of_one_another(tmp_path: Path) -> None:
    shared = {
        "method": "dense",
        "seed": "1",
        "recipe": "x",
        "metric": "P",
        "split": "test",
        "hardware": "a-machine",
    }
    rows = [
        {**shared, "dataset": data, "budget": budget, "k": "1", "value": value}
        for data, budget, value in (("a", "quick", "0.5"), ("b", "quick", "0.25"), ("b", "full", "0.75"))
    ]
    (tmp_path / "starts.csv").write_text(csv_text(COLUMNS, rows))
    document = tmp_path / "page.md"
    document.write_text("<!-- ledger:starts -->\n<!-- ledger:end -->\n")
    lines = [line for line in with_numbers(document, tmp_path, {}).splitlines() if "| dense | 1 |" in line]
    assert [line.split(" | ")[:4] for line in lines] == [
        ["| a, quick", "dense", "1", "0.50"],
        ["| b, full", "dense", "1", "0.75"],
        ["| b, quick", "dense", "1", "0.25"],
    ]


def test_a_table_of_one_budget_leaves_out_epochs_and_bands(tmp_path: Path) -> None:
    shared = {"dataset": "a", "method": "dense", "seed": 1, "recipe": "x", "metric": "P", "k": "1"}
    shared |= {"hardware": "a-machine", "split": "test", "budget": "full", "value": "0.5"}
    others = (
        {"budget": "quick", "value": "0.1"},
        {"epoch": "1", "value": "0.2"},
        {"band": "tail", "value": "0.3"},
    )
    rows = [{"band": "", "epoch": "", **shared, **other} for other in ({}, *others)]
    (tmp_path / "runs.csv").write_text(csv_text(COLUMNS, rows))
    document = tmp_path / "page.md"
    document.write_text("<!-- ledger:runs full -->\nold\n<!-- ledger:end -->\nafter\n")
    text = with_numbers(document, tmp_path, {})
    assert text.startswith("<!-- ledger:runs full -->\n|") and text.endswith("<!-- ledger:end -->\nafter\n")
    (line,) = [line for line in text.splitlines() if line.startswith("| dense")]
    assert line.split(" | ")[:3] == ["| dense", "1", "0.50"]


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_the_documents_of_the_project_are_current(document: Path, project: Project) -> None:
    current = with_numbers(document, ROOT / "results" / "reference", project.twins)
    assert document.read_text() == current, "run: snakemake --cores all readme"


def test_a_ledger_keeps_what_is_finished_and_plans_what_is_missing(config: Path, tmp_path: Path) -> None:
    runs, ledger = trials(config), tmp_path / "ledger.csv"
    for run, precision in zip(runs[:4], (40.0, 55.0, 50.0, 30.0), strict=True):
        finish(run, tmp_path, precision)
    assert record(ledger, runs, tmp_path) == 4
    rows = read_ledger(ledger)
    assert missing(runs, rows) == runs[4:]
    assert best_trials(trial_scores(rows, {})) == {
        "dense": "dense@trial=1",
        "fixed_fan_in_set": "fixed_fan_in_set@trial=0",
    }
    drawn = [r for r in rows if r["metric"] == "recipe:output_optimizer.learning_rate"]
    assert [float(r["value"]) for r in drawn] == [
        run.value_of("output_optimizer.learning_rate") for run in runs[:4]
    ]
    before = ledger.read_bytes()
    assert record(ledger, runs, tmp_path) == 0 and ledger.read_bytes() == before

    # A changed recipe makes its rows stale: the run is planned again, and its record takes their place.
    method = config / "methods" / "dense.yaml"
    method.write_text(method.read_text().replace("{kind: dense}", "{kind: dense, initial_bias: -2.0}"))
    changed = trials(config)
    assert [run.method for run in missing(changed, rows)] == [run.method for run in [*runs[:3], *runs[4:]]]
    assert record(ledger, changed, tmp_path) == 0, "what lies there was made with the old recipe"
    finish(changed[0], tmp_path, 60.0)
    assert record(ledger, changed, tmp_path) == 1
    rows = read_ledger(ledger)
    assert [r["value"] for r in rows if r["method"] == "dense@trial=0" and r["metric"] == "P"] == [
        "60.0",
        "20.0",
        "12.0",
    ]


def test_times_of_a_quiet_machine_take_the_place_of_others_and_nothing_else(
    config: Path, tmp_path: Path
) -> None:
    runs, ledger = trials(config)[:3], tmp_path / "ledger.csv"
    for run in runs[:2]:
        finish(run, tmp_path, 40.0)
    timing = tmp_path / runs[1].folder / "timing.json"
    write_json(timing, {**read_json(timing), "shared_machine": True})
    record(ledger, runs, tmp_path)
    before = read_ledger(ledger)
    assert {r["method"] for r in before if r["metric"] in TIMES} == {runs[0].method}
    assert record_times(ledger, runs, tmp_path) == 0 and read_ledger(ledger) == before

    quiet = tmp_path / "quiet"
    for run in runs:  # the third is not in the ledger, and does not come into it by its times
        finish(run, quiet, 99.0)
        write_json(quiet / run.folder / "env.json", {"hardware": "quiet-cpu-4-cores"})
    timing = quiet / runs[0].folder / "timing.json"
    write_json(timing, {**read_json(timing), "epoch_seconds": [0.5], "memory_bytes": {"weight": 1}})
    assert record_times(ledger, runs, quiet) == 2
    after = read_ledger(ledger)
    assert [r for r in after if r["metric"] not in TIMES] == [r for r in before if r["metric"] not in TIMES]
    times = {
        (r["method"], r["metric"]): (float(r["value"]), r["hardware"]) for r in after if r["metric"] in TIMES
    }
    assert times == {
        (run.method, metric): (value, "quiet-cpu-4-cores")
        for run, epoch in ((runs[0], 0.5), (runs[1], 2.0))
        for metric, value in zip(TIMES, (epoch, 200.0, 12.0), strict=True)
    }
    assert all(r["recipe"] == fingerprint(runs[0].recipe) for r in after if r["method"] == runs[0].method)
    assert record_times(ledger, runs, quiet) == 0
    # Where a machine is shared there are no times to take.
    write_json(timing, {**read_json(timing), "shared_machine": True})
    assert record_times(ledger, runs, quiet) == 0 and read_ledger(ledger) == after
