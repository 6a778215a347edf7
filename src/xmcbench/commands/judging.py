"""From finished runs to the rows of experiments, and from these to verdicts on what the papers claim."""

import argparse
import logging
from pathlib import Path

from xmcbench.commands.command import Register


def register(command: Register) -> None:
    """Add the commands."""
    rows = command("rows", _rows, "write the rows of an experiment's finished runs", "out")
    rows.add_argument("--grid", required=True)
    shown = command(
        "experiments", _experiments, "write the tables and draw the figures of experiments", "out"
    )
    shown.add_argument("--grid", required=True)
    shown.add_argument(
        "--rows", type=Path, required=True, help="a file that `rows` wrote, or a ledger of runs"
    )
    claims = command(
        "claims", _claims, "judge the papers' claims by the rows of experiments; trains nothing", "out"
    )
    claims.add_argument(
        "--rows", type=Path, required=True, help="a file that `rows` wrote, or a ledger of runs"
    )
    for sub in (shown, claims):
        sub.add_argument(
            "--also",
            type=Path,
            action="append",
            default=[],
            help="rows that are read with them, if they are there",
        )
    claims.add_argument(
        "--reference", type=Path, help="a folder with runs.csv: its claims.csv is written too"
    )


def _rows(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.atomic import write_text
    from xmcbench.plan import Project
    from xmcbench.reporting.collect import csv_text
    from xmcbench.reporting.ledger import COLUMNS, rows_of

    runs = Project(parsed.config).runs(parsed.grid)
    write_text(parsed.out, csv_text(COLUMNS, rows_of(runs, parsed.config.parent, detailed=True)))
    log.info("%s: rows of %d runs", parsed.out, len(runs))


def _experiments(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.plan import Project
    from xmcbench.reporting.experiment_output import write_experiments

    write_experiments(parsed.rows, parsed.grid, Project(parsed.config), parsed.out, parsed.also)


def _claims(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.plan import Project
    from xmcbench.reporting.claims.claims_files import judge_all, write_claims
    from xmcbench.reporting.claims.statement import load_claims, names_of, require_known
    from xmcbench.reporting.experiment_rows import ExperimentRows

    file, known = parsed.config / "claims.yaml", names_of(Project(parsed.config))
    claims = load_claims(file)
    if parsed.rows.is_file():
        rows, told = ExperimentRows.read(parsed.rows, {}, parsed.also), str(parsed.rows)
    else:
        rows, told = ExperimentRows.none(), f"nothing: {parsed.rows} is not there"
    kept = None
    if parsed.reference is not None and (ledger := parsed.reference / "runs.csv").is_file():
        kept = rows if ledger == parsed.rows else ExperimentRows.read(ledger, {}, parsed.also)
        # What neither the rows to be judged nor all that were committed ever measured is a slip of the pen.
        known["metrics"] = sorted({*rows.frame["metric"].unique(), *kept.frame["metric"].unique()})
    require_known(claims, file, known)
    results = judge_all(claims, rows)
    write_claims(results, told, parsed.out)
    log.info("from %s", told)
    for result in results:
        log.info("%s: %s", result.claim.id, result.verdict)
    if kept is not None:
        again = results if kept is rows else judge_all(claims, kept)
        write_claims(again, "", parsed.reference, tables_alone=True)
