"""Methods that take turns: none gets far ahead, each learns what it learns alone, and their seconds become a ledger's rows."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xmcbench.cli import main
from xmcbench.data.batches import Batch
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.errors import ConfigError, DataError
from xmcbench.plan import Project, Run
from xmcbench.planned_run import contests_of, in_turns
from xmcbench.recipe import TrainRecipe, fingerprint
from xmcbench.reporting.claims.evidence import evidence
from xmcbench.reporting.claims.statement import Comparison
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.ledger import name_of, read_recorded
from xmcbench.training.in_turns import TURNS, InTurns
from xmcbench.training.loop import Trainer
from xmcbench.training.run import make_trainer

from ..conftest import ROOT, SmokeData, lay
from ..recipes import changed

METHODS = ("dense", "fixed_fan_in_set", "fixed_fan_in_set_aux")


@pytest.fixture(scope="module")
def runs(smoke_runs: dict[str, Run]) -> list[Run]:
    """Runs of one epoch, with rewires within a turn and across turns."""
    return [changed(smoke_runs[m], {"training": {"epochs": 1}}) for m in METHODS]


@pytest.fixture
def root(smoke: SmokeData, runs: list[Run], tmp_path: Path) -> Path:
    """A project's folder with the smoke data where runs look for it."""
    for run in runs:
        lay(smoke, tmp_path, run)
    return tmp_path


def test_none_gets_ahead_by_more_than_a_turn_and_each_learns_what_it_learns_alone(
    runs: list[Run], root: Path, smoke: SmokeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    trainers: dict[str, Trainer] = {}
    step = Trainer.train_step

    def noted(self: Trainer, batch: Batch) -> None:
        order.append(self.recipe.method)
        trainers[self.recipe.method] = self
        step(self, batch)

    monkeypatch.setattr(Trainer, "train_step", noted)
    contest = InTurns(runs, root)
    contest.epoch()
    contest.predict()
    total = trainers["dense"].batches.steps_per_epoch
    assert len(order) == total * len(runs)
    done = dict.fromkeys(METHODS, 0)
    for method in order:
        done[method] += 1
        assert max(done.values()) - min(done.values()) <= total // TURNS + 1
    turns = [method for before, method in zip(["", *order], order, strict=False) if method != before]
    first, second, third = METHODS
    assert turns == [*METHODS, second, third, first, third, first, second, *METHODS], "who begins changes"

    monkeypatch.undo()
    rows = {(row["method"], row["metric"]): row for row in contest.rows()}
    assert {row["budget"] for row in rows.values()} == {"smoke_in_turns"}
    for run in runs:
        alone = alone_of(run, smoke)
        mine = trainers[run.method]
        its = mine.network.state_dict()
        assert all(torch.equal(value, its[key]) for key, value in alone.network.state_dict().items())
        assert rows[run.method, "epoch_seconds"]["value"] == mine.clocks["epoch_seconds"][0]
        assert rows[run.method, "predict_documents_per_second"]["value"] > 0


def alone_of(run: Run, smoke: SmokeData) -> Trainer:
    """Train a run from its beginning to its end with nothing between."""
    assert isinstance(run.recipe, TrainRecipe)
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(smoke.tokens)
    trainer = make_trainer(run.recipe, store, tokens, smoke.groups if run.groups_file else None, None)
    assert list(trainer.run())[-1] == trainer.total
    return trainer


def test_a_contest_is_of_one_budget_data_set_and_seed(project: Project) -> None:
    runs = project.runs("seconds")
    contests = contests_of(runs)
    assert sorted(run.folder for its in contests.values() for run in its) == sorted(
        run.folder for run in runs
    )
    for name, its in contests.items():
        assert {f"{run.budget}-{run.dataset}-seed{run.seed}" for run in its} == {name}
    (smoke,) = contests_of(project.runs("smoke")).values()
    assert [run.method for run in smoke] == [
        r.method for r in project.runs("smoke") if r.recipe.runner == "train"
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("threads", 1, "training.threads is 1; allowed beside dense: 2"), ("epochs", 3, "training.epochs is 3; allowed beside dense: 1")],
)  # fmt: skip
def test_what_cannot_take_turns_is_refused(
    runs: list[Run], root: Path, key: str, value: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        InTurns([runs[0], changed(runs[1], {"training": {key: value}})], root)


def test_a_method_that_does_not_train_and_data_that_are_not_there_are_refused(
    runs: list[Run], smoke_runs: dict[str, Run], root: Path
) -> None:
    with pytest.raises(ConfigError, match="most_frequent: no method of this engine"):
        InTurns([runs[0], smoke_runs["most_frequent"]], root)
    with pytest.raises(DataError):
        InTurns(runs, root / "elsewhere")


def test_the_committed_seconds_are_of_the_present_recipes(project: Project) -> None:
    rows = read_recorded(ROOT / "results" / "reference" / "in_turns.csv")
    have = {(*name_of(row), row["recipe"]) for row in rows if row["metric"] == "epoch_seconds"}
    for run in project.runs("seconds"):
        name = (run.dataset, run.method, str(run.seed), in_turns(run.budget))
        assert (*name, fingerprint(run.recipe)) in have


def row(method: str, seed: int, seconds: float) -> dict[str, Any]:
    of_run = {"dataset": "d", "method": method, "seed": seed, "budget": "quick_in_turns", "recipe": "r"}
    return {
        **of_run,
        "metric": "epoch_seconds",
        "split": "train",
        "value": seconds,
        "unit": "s",
        "hardware": "h",
    }


def test_a_claim_reads_what_the_benchmark_wrote(tmp_path: Path) -> None:
    seeds = [[row("a", 1, 1.0), row("b", 1, 2.0)], [row("a", 2, 3.0), row("b", 2, 4.0)]]
    files = [tmp_path / f"{seed}.json" for seed in (1, 2)]
    for file, rows in zip(files, seeds, strict=True):
        file.write_text(json.dumps({"benchmarks": [{"extra_info": {"in_turns": rows}}]}))
    out = tmp_path / "in_turns.csv"
    assert main(["in-turns-collect", "--json", *map(str, files), "--out", str(out)]) == 0
    test = {"name": "n", "value": ["a:epoch_seconds"], "over": ["b:epoch_seconds"], "at_most": 0.9}
    comparison = Comparison.model_validate({**test, "datasets": ["d"], "budget": "quick_in_turns"})
    found = evidence(ExperimentRows.read(out, {}), comparison, "d")
    assert found is not None and found.value == (0.5 + 0.75) / 2 and found.seeds == 2


def test_what_measured_no_turns_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in.json", tmp_path / "out.csv"
    source.write_text(json.dumps({"benchmarks": [{"extra_info": {"seconds": 1.0}}]}))
    assert main(["in-turns-collect", "--json", str(source), "--out", str(out)]) != 0
    assert "holds no measurement" in capsys.readouterr().err
    assert not out.exists()
