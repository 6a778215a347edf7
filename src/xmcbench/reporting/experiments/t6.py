"""Table 6: when the auxiliary objective ends."""

from xmcbench.reporting.experiment_rows import ExperimentRows, parse_point
from xmcbench.reporting.experiments._table import (
    PRECISION,
    PROPENSITY,
    Place,
    Table,
    difference,
    on,
    places,
    table,
    value,
)

TITLE = "Table 6: cut-off of the auxiliary objective"
CAPTION = (
    "Precision by the epoch at which the auxiliary objective has faded out, at two sparsities; 0: without it, never: its weight "
    "stays as it began. Gain: in P@1, over without. The best P@1 of each fan-in has a star."
)
#: A cut-off so far off that the weight stays as it began.
NEVER = 100.0


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    with_it = [p for p in places(rows, ["fan_in", "cutoff"]) if p.method.startswith("fixed_fan_in_set_aux@")]
    fan_ins = {(p.dataset, p.budget, _point(p)["fan_in"]) for p in with_it}
    without = [
        p
        for p in places(rows, ["fan_in"])
        if p.method.startswith("fixed_fan_in_set@") and (p.dataset, p.budget, _point(p)["fan_in"]) in fan_ins
    ]
    every = sorted(
        [*without, *with_it], key=lambda p: (p.dataset, p.budget, -int(_point(p)["fan_in"]), _cutoff(p))
    )
    best: dict[tuple[str, str, str], Place] = {}
    for place in every:
        key = (place.dataset, place.budget, _point(place)["fan_in"])
        if key not in best or (value(rows, place, PRECISION[0]) or 0) > (
            value(rows, best[key], PRECISION[0]) or 0
        ):
            best[key] = place
    lines = []
    for place in every:
        cutoff = _cutoff(place)
        star = " *" if place in best.values() and value(rows, place, PRECISION[0]) is not None else ""
        shown = "never" if cutoff >= NEVER else f"{cutoff:g}"
        head = {"Data": place.dataset, "Fan-in": _point(place)["fan_in"], "Cut-off (epochs)": shown + star}
        lines.append((head, place))
    gain = difference(rows, PRECISION[0], lambda p: on(p, f"fixed_fan_in_set@fan_in={_point(p)['fan_in']}"))
    return table(rows, lines, [*PRECISION, PROPENSITY[0]], {"Gain over without": gain})


def _point(place: Place) -> dict[str, str]:
    return parse_point(place.method)[1]


def _cutoff(place: Place) -> float:
    return float(_point(place).get("cutoff", 0.0))
