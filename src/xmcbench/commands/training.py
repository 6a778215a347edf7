"""Training a run, and scoring it."""

import argparse
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from xmcbench.commands.command import Register, known, require_device, set_up_process

if TYPE_CHECKING:
    from xmcbench.planned_run import Run
    from xmcbench.recipe import Recipe


def register(command: Register) -> None:
    """Add the commands."""
    train = command(
        "train", _train, "train and predict one run (or go on with it)", "run", "sample", "tokens"
    )
    train.add_argument("--recipe", required=True, help="the recipe as JSON")
    train.add_argument("--groups", type=Path, default=None, help="label groups of the auxiliary objective")
    train.add_argument(
        "--order", type=Path, default=None, help="label groups that the output layer lays side by side"
    )
    train.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=float(os.environ.get("XMCBENCH_CHECKPOINT_SECONDS", "20")),
        help="time between checkpoints (default: XMCBENCH_CHECKPOINT_SECONDS, or 20)",
    )
    train.add_argument(
        "--loader-workers",
        type=int,
        default=os.environ.get("XMCBENCH_LOADER_WORKERS", "0"),
        help="threads that make batches ahead; changes no result (default: XMCBENCH_LOADER_WORKERS, or 0)",
    )
    train.add_argument(
        "--python", type=Path, default=None, help="interpreter of a foreign program's environment"
    )
    train.add_argument(
        "--pins", type=Path, default=None, help="what is installed there: name==version a line"
    )
    train.set_defaults(leaves_reason=True)
    check = command(
        "paper-check", _paper_check, "four steps of every run of the paper's grid, on stand-ins", "out"
    )
    check.add_argument("--dataset", action="append", default=[], help="this data set alone (may be repeated)")
    check.add_argument("--method", action="append", default=[], help="this method alone (may be repeated)")
    cost = command(
        "paper-cost", _paper_cost, "a few steps of the paper's recipe at its real size, on a GPU", "out"
    )
    cost.add_argument(
        "--device", choices=["cuda", "cpu"], default="cuda", help="a CPU has no peak, only seconds"
    )
    cost.add_argument("--dataset", action="append", default=[], help="this data set alone (may be repeated)")
    cost.add_argument("--method", action="append", default=[], help="this method alone (may be repeated)")
    command("score", _score, "score a run's predictions", "run", "sample")


def _train(parsed: argparse.Namespace, log: logging.Logger) -> None:
    set_up_process()
    from xmcbench.recipe import TrainRecipe

    recipe = _recipe(parsed.recipe)
    if isinstance(recipe, TrainRecipe):
        from xmcbench.training.run import train_run

        train_run(
            recipe,
            parsed.run,
            parsed.sample,
            parsed.tokens,
            parsed.groups,
            parsed.checkpoint_seconds,
            log,
            parsed.loader_workers,
            parsed.order,
        )
    else:
        from xmcbench.training.foreign import ForeignEnvironment
        from xmcbench.training.reference import reference_run

        given = parsed.python is not None and parsed.pins is not None
        environment = ForeignEnvironment(parsed.python, parsed.pins) if given else None
        reference_run(recipe, parsed.run, parsed.sample, parsed.tokens, log, environment)
    (parsed.run / "failed.json").unlink(missing_ok=True)


def _recipe(text: str) -> "Recipe":
    """Return the recipe that --recipe gives; raises ConfigError of one line for its first mistake."""
    from xmcbench.errors import ConfigError
    from xmcbench.recipe import recipe_model
    from xmcbench.yaml_config import validated

    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--recipe: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--recipe: {text[:40]!r} is no JSON object")
    return validated("--recipe", recipe_model(values), values)


def _paper_check(parsed: argparse.Namespace, log: logging.Logger) -> None:
    set_up_process()
    import tempfile

    from xmcbench.atomic import write_text
    from xmcbench.errors import CheckFailedError
    from xmcbench.plan import Project
    from xmcbench.reporting.collect import csv_text
    from xmcbench.training.paper_check import COLUMNS, StandIns, check_all

    project = Project(parsed.config)
    runs = _chosen(
        [run for grid in ("paper", "paper_official", "paper_printed") for run in project.runs(grid)], parsed
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = check_all(runs, StandIns(Path(folder), project.datasets), log)
    write_text(parsed.out, csv_text(COLUMNS, rows))
    failed = [row for row in rows if row["status"] != "ok"]
    if failed:
        raise CheckFailedError(f"{parsed.out}: {len(failed)} of {len(rows)} runs failed")


def _paper_cost(parsed: argparse.Namespace, log: logging.Logger) -> None:
    set_up_process()
    import tempfile

    from xmcbench.atomic import write_text
    from xmcbench.plan import Project
    from xmcbench.reporting.collect import csv_text
    from xmcbench.reporting.ledger import COLUMNS
    from xmcbench.training.paper_cost import Encoders, cost_of_all

    require_device(parsed.device, "paper_cost", "paper_check")
    project = Project(parsed.config)
    runs = _chosen(project.cost_runs(), parsed)
    rows: list[dict[str, object]] = []

    def keep(found: list[dict[str, object]]) -> None:
        rows.extend({column: "" for column in COLUMNS} | row for row in found)
        write_text(parsed.out, csv_text(COLUMNS, rows))

    with tempfile.TemporaryDirectory() as folder:
        cost_of_all(runs, project.datasets, Encoders(Path(folder)), parsed.device, log, keep)


def _chosen(runs: list["Run"], parsed: argparse.Namespace) -> list["Run"]:
    """Return the runs of the data sets and methods that were named, if any were; raises ConfigError for an unknown name."""
    for key, names in (("dataset", parsed.dataset), ("method", parsed.method)):
        for name in names:
            known({getattr(run, key): run for run in runs}, name, f"--{key}")
    return [
        run
        for run in runs
        if (not parsed.dataset or run.dataset in parsed.dataset)
        and (not parsed.method or run.method in parsed.method)
    ]


def _score(parsed: argparse.Namespace, log: logging.Logger) -> None:
    import shutil

    from xmcbench.evaluation.score import score_run

    score_run(parsed.run, parsed.sample)
    # Only now are the checkpoints of no further use: until here a killed workflow goes on from them.
    shutil.rmtree(parsed.run / "checkpoints", ignore_errors=True)
    log.info("scored %s", parsed.run)
