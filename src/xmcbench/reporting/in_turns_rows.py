"""pytest-benchmark's JSON of methods that took turns → a ledger of their seconds, `results/collected/<grid>_in_turns.csv`."""

from collections.abc import Sequence
from pathlib import Path

from xmcbench.atomic import write_text
from xmcbench.reporting.benchmark_file import measurements, require_some
from xmcbench.reporting.collect import Row, csv_text
from xmcbench.reporting.ledger import COLUMNS


def write_in_turns_rows(sources: Sequence[Path], out: Path) -> None:
    """Write `out`; raises DataError if a JSON is not ours or measured nothing."""
    rows: list[Row] = []
    for source in sources:
        measured = [info["in_turns"] for info in measurements(source) if "in_turns" in info]
        require_some(source, measured)
        rows += [row for its in measured for row in its]
    write_text(out, csv_text(COLUMNS, rows))
