"""What a step of the paper's recipe costs on a GPU, at the real size of its data sets."""

from xmcbench.planned_run import COST_BUDGET
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import Column, Place, Table, on, places, table, value

TITLE = "The paper's recipe at its real size"
CAPTION = (
    "Peak memory of tensors on the GPU over a few steps, what of it training the classifier holds by its own account, and "
    "median milliseconds of a step; and the same of a rewire. Random weights, documents of the recipe's full length, as many "
    "labels as the data set has; nothing is learned. Runs are deterministic, which costs a sparse layer a second pass over its "
    "weights. The chunked dense layers take as many labels at a time as 32 MiB of scores allow, in bfloat16 of weights made wide, "
    "so that their steps there are launches more than work."
)
GIB, MILLI = 2**-30, 1e3


def _gib(value: float) -> str:
    return f"{value:.2f}"


def _ms(value: float) -> str:
    return f"{value:,.0f}"


PEAK = Column("Peak (GiB)", "peak_device", None, GIB, _gib)
COLUMNS = [
    PEAK,
    Column("Classifier (GiB)", "memory_classifier", None, GIB, _gib),
    Column("Step (ms)", "step_seconds", None, MILLI, _ms),
    Column("Rewire peak (GiB)", "rewire_peak_device", None, GIB, _gib, optional=True),
    Column("Rewire (ms)", "rewire_seconds", None, MILLI, _ms, optional=True),
]


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text): data sets and methods in the order in which they were measured."""
    found = [place for place in places(rows) if place.budget == COST_BUDGET]

    def less(place: Place) -> float | None:
        mine, dense = value(rows, place, PEAK), value(rows, on(place, "dense"), PEAK)
        return None if not mine or dense is None else dense / mine

    lines = [({"Data": p.dataset, "Method": rows.label(p.method)}, p) for p in found]
    return table(rows, lines, COLUMNS, {"Dense / this": less}, signed=False)
