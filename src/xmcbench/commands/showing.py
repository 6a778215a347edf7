"""From runs to CSV, tables, figures, page, and the numbers of the README."""

import argparse
import logging
from pathlib import Path

from xmcbench.commands.command import Register


def register(command: Register) -> None:
    """Add the commands."""
    for name, function, text in (
        ("collect", _collect, "collect a grid's runs into CSV"),
        ("tables", _tables, "write tables from CSV"),
        ("figures", _figures, "draw figures from CSV"),
        ("report", _report, "write the self-contained page from CSV, tables and figures"),
    ):
        sub = command(name, function, text)
        sub.add_argument("--source", default="run")
        sub.add_argument("--grid", default="quick")
        sub.add_argument("--results", type=Path, default=Path("results"))
        if name == "report":
            sub.add_argument("--out", type=Path, default=Path("results/report.html"))
            sub.add_argument("--partial", action="store_true", help="build everything from what is there")
    published = command("published", _published, "write tables and a figure of what papers print")
    published.add_argument("--results", type=Path, default=Path("results"))
    published.add_argument(
        "--cost", type=Path, help="peaks of a few steps, for what no run of the paper's grid tells"
    )
    readme = command("readme", _readme, "rewrite the numbers of the README")
    readme.add_argument("--readme", type=Path, default=Path("README.md"))
    readme.add_argument("--docs", type=Path, default=Path("docs"))
    readme.add_argument("--reference", type=Path, default=Path("results/reference"))


def _collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.collect import collect_grid

    collect_grid(parsed.config, parsed.grid, parsed.source, parsed.results, partial=False)
    log.info("collected %s", parsed.source)


def _tables(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.tables import write_tables

    write_tables(parsed.source, parsed.results)


def _figures(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.figures import draw_all

    draw_all(parsed.source, parsed.results)


def _report(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.report import write_report

    if parsed.partial:
        from xmcbench.reporting.partial import partial_report

        partial_report(parsed.config, parsed.grid, parsed.source, parsed.results, parsed.out)
        log.info("partial report: %s", parsed.out)
    else:
        write_report(parsed.source, parsed.results, parsed.out)


def _published(parsed: argparse.Namespace, log: logging.Logger) -> None:
    import pandas as pd

    from xmcbench.reporting.published_figure import write_figure
    from xmcbench.reporting.published_tables import with_cost, write_published

    ours = parsed.results / "collected" / "paper.csv"
    columns = ["dataset", "method", "seed", "budget", "metric", "k", "value"]
    runs = pd.read_csv(ours, dtype={"k": "Int64"}) if ours.is_file() else pd.DataFrame(columns=columns)
    if parsed.cost is not None and parsed.cost.is_file():
        runs = with_cost(runs, pd.read_csv(parsed.cost, dtype={"k": "Int64"}))
    write_published(parsed.results / "published", runs, parsed.results / "tables" / "published")
    write_figure(parsed.results / "published", parsed.results / "figures" / "published")


def _readme(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.plan import Project
    from xmcbench.reporting.documents import rewrite_documents
    from xmcbench.reporting.readme import rewrite_readme

    rewrite_readme(parsed.readme, parsed.reference)
    rewrite_documents(parsed.docs, parsed.reference, Project(parsed.config).twins)
