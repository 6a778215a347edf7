"""Label-frequency bands: where a sparse layer loses."""

from dataclasses import replace

from xmcbench.evaluation.bands import BANDS, MEANING
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import PROPENSITY, Column, Table, difference, on, table
from xmcbench.reporting.experiments.t2 import table_lines

TITLE = "Head, torso and tail"
CAPTION = f"P@1 and PSP@1 by label-frequency band ({MEANING}). Difference: in the tail's PSP@1, from dense on the same data and seeds."


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    columns = [Column(f"{m}@1, {band}", m, 1, band=band) for m in ("P", "PSP") for band in BANDS]
    tail = replace(PROPENSITY[0], band="tail")
    return table(
        rows, table_lines(rows), columns, {"Tail − dense": difference(rows, tail, lambda p: on(p, "dense"))}
    )
