"""Table 7: fixed features of a pretrained encoder, against the encoder trained end to end."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import EPOCH, PRECISION, PROPENSITY, Place, Table, cells, table

TITLE = "Table 7: fixed features against end to end"
CAPTION = (
    "The same output layer on MiniLM's features as they come, and with MiniLM trained end to end. The longer budget is for the "
    "frozen features alone, which are computed once."
)


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    methods = ["fixed_fan_in_set_minilm", "fixed_fan_in_set_frozen"]
    lines = [
        ({"Data": d, "Budget": b, "Method": rows.label(m)}, Place(d, b, m))
        for m in methods
        for d, b in cells(rows, [m])
    ]
    return table(rows, lines, [*PRECISION, *PROPENSITY, EPOCH])
