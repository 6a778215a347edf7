"""Table 2: each output layer on each data set."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import MAIN
from xmcbench.reporting.experiments._table import (
    EPOCH,
    MEMORY,
    PEAK,
    PEAK_DEVICE,
    PRECISION,
    Place,
    Table,
    cells,
    difference,
    on,
    table,
)

TITLE = "Table 2: output layers"
CAPTION = (
    "Precision on test documents, memory that training the classifier holds, peak memory of the process (and of tensors on "
    "the GPU, where one trained), and seconds an epoch. Difference: in P@1, from dense on the same data and seeds."
)


def table_lines(rows: ExperimentRows) -> list[tuple[dict[str, str], Place]]:
    """Return the lines of tables 2 and 4: every main method on every data set and budget that has dense and fixed fan-in."""
    both = [c for c in cells(rows, ["dense"]) if c in cells(rows, ["fixed_fan_in_set"])]
    return [
        ({"Data": dataset, "Budget": budget, "Method": rows.label(method)}, Place(dataset, budget, method))
        for dataset, budget in both
        for method in MAIN
        if (dataset, budget) in cells(rows, [method])
    ]


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    from_dense = difference(rows, PRECISION[0], lambda place: on(place, "dense"))
    extra = {"P@1 − dense": from_dense}
    return table(rows, table_lines(rows), [*PRECISION, MEMORY, PEAK, PEAK_DEVICE, EPOCH], extra)
