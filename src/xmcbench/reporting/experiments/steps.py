"""Twice the steps: who gains (the paper's §3.3)."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import (
    PRECISION,
    PROPENSITY,
    Place,
    Table,
    difference,
    on,
    places,
    table,
)

TITLE = "Longer training"
CAPTION = "Precision after the budget's epochs and after as many as the sweep says. Gain: in P@1, over the shorter run of the same method."


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    lines = []
    for place in places(rows, ["epochs"]):
        base, epochs = place.method.split("@epochs=")
        for method, shown in ((base, "as the budget"), (place.method, epochs)):
            head = {"Data": place.dataset, "Method": rows.label(base), "Epochs": shown}
            lines.append((head, Place(place.dataset, place.budget, method)))
    shorter = difference(rows, PRECISION[0], lambda p: on(p, p.method.split("@")[0]))
    extra = {"Gain": lambda p: shorter(p) if "@" in p.method else None}
    return table(rows, lines, [*PRECISION, *PROPENSITY], extra)
