"""Which auxiliary objective helps: its weight, its groups, its cut-off, its reduction."""

from xmcbench.reporting.experiment_rows import ExperimentRows, parse_point
from xmcbench.reporting.experiments._table import PRECISION, PROPENSITY, Place, Table, difference, on, table

TITLE = "Recipes of the auxiliary objective"
CAPTION = (
    "Fixed fan-in with other auxiliary objectives: λ₀, the number of label groups, the epoch of the cut-off, and whether the loss "
    "is summed over groups or its mean is taken. An empty cell: as the method has it. Gain: in P@1, over the same layer without."
)
#: Axis → its column.
COLUMNS = {
    "fan_in": "Fan-in",
    "groups": "Groups",
    "weight": "λ₀",
    "cutoff": "Cut-off",
    "reduction": "Loss",
}
BASE = "fixed_fan_in_set_aux"


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    frame = rows.frame[rows.frame["base"] == BASE]
    found = frame[["dataset", "budget", "method"]].drop_duplicates()
    every = [Place(*map(str, place)) for place in found.itertuples(index=False)]
    shown = [p for p in every if _recipe(p)]
    lines = [
        ({"Data": p.dataset, **{heading: parse_point(p.method)[1].get(axis, "") for axis, heading in COLUMNS.items()}}, p)
        for p in sorted(shown, key=_order)
    ]  # fmt: skip
    gain = difference(rows, PRECISION[0], lambda p: on(p, _without(p)))
    return table(rows, lines, [*PRECISION, PROPENSITY[0]], {"Gain": gain})


def _recipe(place: Place) -> bool:
    """Return whether a run changed the objective itself, beyond what tables 5 and 6 and figure 6 are about."""
    axes = set(parse_point(place.method)[1])
    return bool(axes & {"groups", "weight", "reduction"}) and axes <= set(COLUMNS)


def _without(place: Place) -> str:
    fan_in = parse_point(place.method)[1].get("fan_in")
    return "fixed_fan_in_set" if fan_in is None else f"fixed_fan_in_set@fan_in={fan_in}"


def _order(place: Place) -> tuple[object, ...]:
    point = parse_point(place.method)[1]
    numbers = [float(point.get(axis, 0)) for axis in ("fan_in", "groups", "cutoff", "weight")]
    return (place.dataset, place.budget, point.get("reduction", ""), *numbers)
