"""Table 3: label texts among the training documents (the paper's LF sets)."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import (
    MEMORY,
    PRECISION,
    PROPENSITY,
    Table,
    difference,
    on,
    places,
    table,
)

TITLE = "Table 3: with label texts"
CAPTION = "Precision and propensity-scored precision where the text of every label joins the training documents. Difference: in P@1, from dense of the same seeds."


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    lines = [
        ({"Data": p.dataset, "Method": rows.label(p.method.split("@")[0])}, p)
        for p in places(rows, ["augmented"])
    ]
    lines.sort(key=lambda line: not line[1].method.startswith("dense"))
    from_dense = difference(rows, PRECISION[0], lambda p: on(p, "dense@" + p.method.split("@")[1]))
    return table(rows, lines, [*PRECISION, *PROPENSITY, MEMORY], {"P@1 − dense": from_dense})
