"""Table 5: fan-in, with and without the auxiliary objective."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import (
    EPOCH,
    INFERENCE,
    MEMORY,
    PRECISION,
    Column,
    Place,
    Table,
    cells,
    difference,
    on,
    places,
    table,
    value,
)

TITLE = "Table 5: fan-in"
CAPTION = (
    "Precision, memory, seconds an epoch and documents a second in inference from half of the features to 96 % sparse. Gain: "
    "in P@1, of the auxiliary objective at the same fan-in."
)
PLAIN, AUX = "fixed_fan_in_set", "fixed_fan_in_set_aux"
SPARSITY = Column("Sparsity", "sparsity")


def fan_in(place: Place) -> int:
    """Return the swept fan-in."""
    return int(place.method.split("@fan_in=")[1])


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text): dense on top, then falling fan-in, plain before auxiliary."""
    swept = [p for p in places(rows, ["fan_in"]) if p.method.split("@")[0] in (PLAIN, AUX)]
    swept.sort(key=lambda p: (p.dataset, p.budget, -fan_in(p), p.method.split("@")[0] == AUX))
    where = list(dict.fromkeys((p.dataset, p.budget) for p in swept))
    dense = [Place(d, b, m) for d, b in where for m in ("dense", "dense_aux") if (d, b) in cells(rows, [m])]
    lines = []
    for place in [*dense, *swept]:
        base = place.method.split("@")[0]
        share = value(rows, place, SPARSITY)
        head = {
            "Data": place.dataset,
            "Sparsity": "dense" if share is None else f"{100 * share:.0f} %",
            "Fan-in": str(fan_in(place)) if "@" in place.method else "",
            "Auxiliary": "yes" if base in (AUX, "dense_aux") else "no",
        }
        lines.append((head, place))
    gain = difference(
        rows, PRECISION[0], lambda p: on(p, p.method.replace(AUX, PLAIN).replace("dense_aux", "dense"))
    )
    extra = {"Gain of auxiliary": lambda p: gain(p) if "_aux" in p.method else None}
    return table(rows, lines, [*PRECISION, MEMORY, EPOCH, INFERENCE], extra)
