"""After a failure: tables, figures and page of the runs that did finish."""

from pathlib import Path

from xmcbench.reporting.collect import collect_grid
from xmcbench.reporting.figures import draw_all
from xmcbench.reporting.report import write_report
from xmcbench.reporting.tables import write_tables


def partial_report(config: Path, grid: str, source: str, results: Path, out: Path) -> None:
    """Build everything from what is there; the next full run makes it anew (the CSV are dated long ago)."""
    collect_grid(config, grid, source, results, partial=True)
    write_tables(source, results)
    draw_all(source, results)
    write_report(source, results, out, partial=True)
