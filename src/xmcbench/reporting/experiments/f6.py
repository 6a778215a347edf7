"""Figures 6 and 7: label groups by meaning, and random ones."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR
from xmcbench.reporting.experiments._panels import cells_in, over_seeds, panels

TITLE = "Figures 6 and 7: semantic and random label groups"
CAPTION = (
    "Validation P@1 over epochs with the auxiliary objective over semantic and over random groups of the same sizes: each seed "
    "(thin; of random groups each its own partition) and their mean (thick). Right: random less semantic, in points."
)
SHADES = {"semantic": COLOUR["fixed_fan_in_set_aux"], "random": COLOUR["dense_bottleneck"]}


def draw(rows: ExperimentRows) -> Figure:
    """Draw the curves and their difference, of each data set and budget."""
    curves = rows.curve("P", 1, axes=["grouping"], split="validation")
    where = cells_in(curves)
    figure, axes = panels([f"{d}, {b}" for d, b in where for _ in range(2)], columns=2)
    for place, (dataset, budget) in enumerate(where):
        its = curves[(curves["dataset"] == dataset) & (curves["budget"] == budget)]
        left, right = axes[2 * place], axes[2 * place + 1]
        ends, means = [], {}
        for grouping, shade in SHADES.items():
            found = its[its["@grouping"] == grouping]
            if found.empty:
                continue
            for _, one in found.groupby("seed"):
                left.plot(one["epoch"], one["value"], color=shade, linewidth=0.6, alpha=0.6)
            means[grouping], _ = over_seeds(found, "epoch")
            left.plot(means[grouping].index, means[grouping], color=shade)
            ends.append((float(found["epoch"].max()), float(means[grouping].iloc[-1]), grouping, shade))
        if len(means) == 2:
            gap = means["random"] - means["semantic"]
            right.plot(gap.index, gap, color=SHADES["random"], marker="o", markersize=4)
        right.axhline(0, color="#999999", linewidth=1)
        left.set_ylabel("validation P@1 (%)")
        right.set_ylabel("random − semantic (points)")
        for panel in (left, right):
            panel.set_xlabel("epoch")
        figure.canvas.draw()
        style.end_labels(left, ends)
    return figure
