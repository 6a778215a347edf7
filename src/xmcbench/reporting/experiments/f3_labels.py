"""Figure 3, left: what a fixed sparsity costs, by the number of labels."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR, MARKER, SHORT
from xmcbench.reporting.experiments._panels import log_ticks, panels

TITLE = "Figure 3, left: drop from dense by number of labels"
CAPTION = (
    "How far test P@1 lies below the dense layer's, against the number of labels (log scale). Left: nested samples of one data "
    "set's labels; right: data sets, which differ in more than their labels. Mean over seeds."
)
METHODS = ["fixed_fan_in_set", "fixed_fan_in_set_intermediate", "fixed_fan_in_set_aux"]
SPACES = ("labels_eighth", "labels_quarter", "labels_half", "quick")


def draw(rows: ExperimentRows) -> Figure:
    """Draw the nested label samples, and whole data sets."""
    frame = rows.final("P", 1, base=["dense", *METHODS], split="test")
    mean = frame.groupby(["dataset", "budget", "base"])["value"].mean().unstack("base")
    labels = rows.final("labels", axes=()).groupby(["dataset", "budget"])["value"].first()
    nested = [p for p in mean.index if p[1] in SPACES and (p[0], SPACES[0]) in mean.index]
    whole = [p for p in mean.index if p[1] in ("quick", "full")]
    parts = {"nested samples of one set's labels": nested, "data sets": whole}
    parts = {title: found for title, found in parts.items() if len(found) > 1 and "dense" in mean.columns}
    figure, axes = panels(list(parts), share_y=True)
    labelled = []
    for panel, found in zip(axes, parts.values(), strict=True):
        xs = sorted({float(labels[p]) for p in found if p in labels.index})
        ends = []
        for base in [m for m in METHODS if m in mean.columns]:
            points = sorted(
                (float(labels[p]), float(mean.loc[p, "dense"] - mean.loc[p, base]))
                for p in found
                if p in labels.index
            )
            points = [(x, y) for x, y in points if y == y]
            if points:
                panel.plot(*zip(*points, strict=True), color=COLOUR[base], marker=MARKER[base], markersize=5)
                ends.append((*points[-1], SHORT[base], COLOUR[base]))
        panel.axhline(0, color="#999999", linewidth=1)
        log_ticks(panel, xs)
        panel.set_xlabel("labels (log scale)")
        panel.set_ylabel("dense − sparse, test P@1 (points)")
        panel.tick_params(axis="x", labelsize=8, rotation=30)
        labelled.append(ends)
    # Limits are shared: every panel is drawn before they are fixed.
    figure.canvas.draw()
    for panel, ends in zip(axes, labelled, strict=True):
        style.end_labels(panel, ends)
    return figure
