"""Table 4: propensity-scored precision, where tail labels count more."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import MACRO, PROPENSITY, Table, difference, on, table
from xmcbench.reporting.experiments.t2 import table_lines

TITLE = "Table 4: propensity-scored precision"
CAPTION = "Propensity-scored and macro precision on test documents. Difference: in PSP@1, from dense on the same data and seeds."


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    from_dense = difference(rows, PROPENSITY[0], lambda place: on(place, "dense"))
    return table(rows, table_lines(rows), [*PROPENSITY, *MACRO], {"PSP@1 − dense": from_dense})
