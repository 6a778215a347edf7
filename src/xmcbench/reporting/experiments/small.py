"""Few documents: does sparsity regularise (the paper's Wiki10-31K)?"""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import (
    PRECISION,
    PROPENSITY,
    Place,
    Table,
    cells,
    difference,
    on,
    table,
)

TITLE = "Few documents"
CAPTION = "A twentieth of the documents, as many steps. Difference: in P@1, from dense of the same seeds."
METHODS = ["dense", "fixed_fan_in_set", "fixed_fan_in_set_intermediate"]


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    where = [(d, b) for d, b in cells(rows, METHODS) if b == "small"]
    lines = [({"Data": d, "Method": rows.label(m)}, Place(d, b, m)) for d, b in where for m in METHODS]
    from_dense = difference(rows, PRECISION[0], lambda p: on(p, "dense"))
    return table(rows, lines, [*PRECISION, *PROPENSITY], {"P@1 − dense": from_dense})
