"""Memory of recorded runs is taken anew from two steps; everything else of a ledger stays as it was recorded."""

import logging
from pathlib import Path

import pytest

from xmcbench.errors import DataError
from xmcbench.evaluation.score import score_run
from xmcbench.plan import Run
from xmcbench.reporting.collect import csv_text
from xmcbench.reporting.ledger import COLUMNS, read_ledger, record, record_times
from xmcbench.training.remeasure import remeasure
from xmcbench.training.run import train_run

from ..conftest import SmokeData, lay

LOG = logging.getLogger("test")


def finish(root: Path, run: Run, smoke: SmokeData) -> None:
    """Train a run to its end and score it, on the smoke data laid where a project has them."""
    lay(smoke, root, run)
    groups = smoke.groups if run.groups_file else None
    train_run(run.recipe, root / run.folder, smoke.sample, smoke.tokens, groups, 1e9, LOG)
    score_run(root / run.folder, smoke.sample)


def test_memory_is_what_training_to_the_end_records(
    smoke: SmokeData, smoke_runs: dict[str, Run], tmp_path: Path
) -> None:
    runs = [smoke_runs[name] for name in ("dense", "fixed_fan_in_set_aux")]
    for run in runs:
        finish(tmp_path, run, smoke)
    ledger = tmp_path / "runs.csv"
    record(ledger, runs, tmp_path)
    recorded = ledger.read_text()
    assert remeasure(ledger, runs, tmp_path, None, LOG) == 0 and ledger.read_text() == recorded

    rows = read_ledger(ledger)
    memory = [row for row in rows if row["metric"].startswith(("memory_", "measured_"))]
    assert {row["method"] for row in memory} == {run.method for run in runs}
    for row in memory:
        row["value"] = "1"
    # A kind that a layer no longer has, as a kernel's older version had declared it.
    gone = {**memory[0], "metric": "memory_gone"}
    ledger.write_text(csv_text(COLUMNS, [*rows, gone]))
    older = ledger.read_text()
    here = rows[0]["hardware"]
    with pytest.raises(DataError, match=f"no memory rows of 'another-machine'; allowed: {here}"):
        remeasure(ledger, runs, tmp_path, "another-machine", LOG)
    assert ledger.read_text() == older
    assert remeasure(ledger, runs, tmp_path, here, LOG) == 2
    assert ledger.read_text() == recorded


def test_a_ledger_that_is_not_there_is_no_ledger_without_changes(
    smoke_runs: dict[str, Run], tmp_path: Path
) -> None:
    for again in (
        lambda: remeasure(tmp_path / "run.csv", [smoke_runs["dense"]], tmp_path, None, LOG),
        lambda: record_times(tmp_path / "run.csv", [smoke_runs["dense"]], tmp_path),
    ):
        with pytest.raises(
            DataError, match=r"run\.csv: missing; allowed: a ledger that `xmcbench record` wrote"
        ):
            again()


def test_a_ledger_is_left_as_it_is_where_data_are_not_prepared(
    smoke: SmokeData, smoke_runs: dict[str, Run], tmp_path: Path
) -> None:
    run = smoke_runs["dense"]
    finish(tmp_path, run, smoke)
    record(tmp_path / "runs.csv", [run], tmp_path)
    before = (tmp_path / "runs.csv").read_text().replace("memory_weight,,train,", "memory_weight,,train,9")
    (tmp_path / "runs.csv").write_text(before)
    (tmp_path / run.tokens_folder).unlink()
    with pytest.raises(DataError, match=r"tokens\.json: missing; tokenise the data set first"):
        remeasure(tmp_path / "runs.csv", [run], tmp_path, None, LOG)
    assert (tmp_path / "runs.csv").read_text() == before
