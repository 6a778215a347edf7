"""Figures 6 and 7: label groups by meaning, and random ones."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR
from xmcbench.reporting.experiments._panels import cells_in, over_seeds, panels

TITLE = "Figures 6 and 7: semantic and random label groups"
CAPTION = (
    "Validation P@1 over epochs with the auxiliary objective over semantic and over random groups of the same sizes: each seed "
    "(thin; of random groups each its own partition) and their mean (thick). Middle: random less semantic, in points. Right: "
    "precision of the auxiliary head itself, over groups, as long as there is one."
)
SHADES = {"semantic": COLOUR["fixed_fan_in_set_aux"], "random": COLOUR["dense_bottleneck"]}


def draw(rows: ExperimentRows) -> Figure:
    """Draw the curves, their difference and the head's own precision, of each data set and budget."""
    curves = rows.curve("P", 1, axes=["grouping"], split="validation")
    of_groups = rows.curve("group-P", 1, axes=["grouping"], split="validation")
    where = cells_in(curves)
    figure, axes = panels([f"{d}, {b}" for d, b in where for _ in range(3)])
    for place, (dataset, budget) in enumerate(where):
        left, middle, right = axes[3 * place : 3 * place + 3]

        def its(frame: pd.DataFrame, dataset: str = dataset, budget: str = budget) -> pd.DataFrame:
            return frame[(frame["dataset"] == dataset) & (frame["budget"] == budget)]

        means = _curves(left, its(curves), "validation P@1 (%)")
        if len(means) == 2:
            gap = means["random"] - means["semantic"]
            middle.plot(gap.index, gap, color=SHADES["random"], marker="o", markersize=4)
        middle.axhline(0, color="#999999", linewidth=1)
        middle.set_ylabel("random − semantic (points)")
        middle.set_xlabel("epoch")
        if not _curves(right, its(of_groups), "P@1 over groups (%)"):
            right.text(0.5, 0.5, "not measured", ha="center", va="center", transform=right.transAxes)
    return figure


def _curves(panel: Axes, frame: pd.DataFrame, unit: str) -> dict[str, "pd.Series[float]"]:
    """Draw each grouping's seeds and their mean over epochs; return the means."""
    ends, means = [], {}
    for grouping, shade in SHADES.items():
        found = frame[frame["@grouping"] == grouping] if len(frame) else frame
        if found.empty:
            continue
        for _, one in found.groupby("seed"):
            panel.plot(one["epoch"], one["value"], color=shade, linewidth=0.6, alpha=0.6)
        means[grouping], _ = over_seeds(found, "epoch")
        panel.plot(means[grouping].index, means[grouping], color=shade)
        ends.append((float(found["epoch"].max()), float(means[grouping].iloc[-1]), grouping, shade))
    panel.set_xlabel("epoch")
    panel.set_ylabel(unit)
    panel.figure.canvas.draw()
    style.end_labels(panel, ends)
    return means
