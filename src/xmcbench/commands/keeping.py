"""Results that are kept under results/reference/, and what a random search found."""

import argparse
import logging
from pathlib import Path

from xmcbench.commands.command import Register, set_up_process


def register(command: Register) -> None:
    """Add the commands."""
    record = command("record", _record, "add a grid's finished runs to a ledger under results/reference/")
    record.add_argument("--grid", required=True)
    record.add_argument("--ledger", type=Path, required=True)
    record.add_argument(
        "--times", action="store_true", help="take the times alone, of runs that the ledger has already"
    )
    again = command(
        "remeasure",
        _remeasure,
        "take the memory rows of a ledger anew, from two steps of every run of a grid",
    )
    again.add_argument("--grid", required=True)
    again.add_argument("--ledger", type=Path, required=True)
    again.add_argument("--hardware", default=None, help="rows of this machine alone, as the ledger names it")
    tuned = command("tuned", _tuned, "print what a random search makes of every method as YAML")
    tuned.add_argument("--grid", default="tuning")
    tuned.add_argument("--ledger", type=Path, default=Path("results/reference/tuning.csv"))


def _record(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.plan import Project
    from xmcbench.reporting.ledger import missing, read_ledger, record, record_times

    runs = Project(parsed.config).runs(parsed.grid)
    if parsed.times:
        timed = record_times(parsed.ledger, runs, parsed.config.parent)
        log.info("%s: %d runs have other times", parsed.ledger, timed)
        return
    added = record(parsed.ledger, runs, parsed.config.parent)
    left = len(missing(runs, read_ledger(parsed.ledger)))
    log.info("%s: %d runs added, %d of %d missing", parsed.ledger, added, left, len(runs))


def _remeasure(parsed: argparse.Namespace, log: logging.Logger) -> None:
    set_up_process()
    from xmcbench.plan import Project
    from xmcbench.training.remeasure import remeasure

    runs = Project(parsed.config).runs(parsed.grid)
    changed = remeasure(parsed.ledger, runs, parsed.config.parent, parsed.hardware, log)
    log.info("%s: memory of %d runs changed", parsed.ledger, changed)


def _tuned(parsed: argparse.Namespace, log: logging.Logger) -> None:
    import yaml

    from xmcbench.errors import DataError
    from xmcbench.plan import Project, nested
    from xmcbench.recipe import merge
    from xmcbench.reporting.ledger import read_ledger
    from xmcbench.reporting.trials import kept_trials, trial_scores

    project = Project(parsed.config)
    runs = {run.method: run for run in project.runs(parsed.grid)}
    try:
        kept = kept_trials(trial_scores(read_ledger(parsed.ledger), project.twins))
    except DataError as error:
        raise DataError(f"{parsed.ledger}: {error}") from error
    if not kept:
        raise DataError(f"{parsed.ledger}: no trials there; `snakemake --cores all tuning` makes them")
    for method, trial in kept.items():
        values = merge(*(nested(key, runs[trial].value_of(key)) for key in runs[trial].searched))
        print(yaml.safe_dump({method: {"trial": trial, "searched": values}}, sort_keys=False), end="")
