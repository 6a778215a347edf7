"""Squared hinge, the paper's loss, beside cross-entropy: accuracy, zero gradients, seconds."""

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import (
    EPOCH,
    PRECISION,
    PROPENSITY,
    Place,
    Table,
    cells,
    difference,
    on,
    table,
)

TITLE = "Squared hinge and cross-entropy"
CAPTION = (
    "Precision under both losses, seconds an epoch, and the share of (document, label) gradients that are exactly zero in the "
    "first and in the last epoch (%). Difference: in P@1, from cross-entropy of the same seeds."
)
PAIRS = ["dense", "dense_hinge", "fixed_fan_in_set", "fixed_fan_in_set_hinge"]


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    where = [c for c in cells(rows, ["dense_hinge"]) if c in cells(rows, ["fixed_fan_in_set_hinge"])]
    lines = []
    for dataset, budget in where:
        for method in PAIRS:
            zero = rows.curve("zero_share", axes=None, dataset=dataset, budget=budget, method=method)
            shares = zero.groupby("epoch")["value"].mean()
            head = {
                "Data": dataset,
                "Method": rows.label(method),
                "Loss": "squared hinge" if method.endswith("_hinge") else "cross-entropy",
                "Zero, first epoch": f"{100 * shares.iloc[0]:.1f}" if len(shares) else "",
                "Zero, last epoch": f"{100 * shares.iloc[-1]:.1f}" if len(shares) else "",
            }
            lines.append((head, Place(dataset, budget, method)))
    other = difference(rows, PRECISION[0], lambda p: on(p, p.method.removesuffix("_hinge")))
    extra = {"P@1 − cross-entropy": lambda p: other(p) if p.method.endswith("_hinge") else None}
    return table(rows, lines, [*PRECISION, PROPENSITY[0], EPOCH], extra)
