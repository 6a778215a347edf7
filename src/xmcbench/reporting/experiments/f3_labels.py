"""Figure 3, left: what a fixed sparsity costs, by the number of labels."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR, MARKER, SHORT
from xmcbench.reporting.experiments._panels import log_ticks, panels

TITLE = "Figure 3, left: drop from dense by number of labels"
CAPTION = (
    "How far test P@1 lies below the dense layer's, against the number of labels (log scale). First: nested samples of one data "
    "set's labels. Then data sets, which differ in more than their labels, so no line joins them: a sample of each, and the whole "
    "of each with a bag of words as encoder and with MiniLM fine-tuned. Mean over seeds that both have."
)
METHODS = ["fixed_fan_in_set", "fixed_fan_in_set_intermediate", "fixed_fan_in_set_aux"]
NESTED = "nested samples of one set's labels"
#: Title of a panel → the budget of its data sets.
SETS = {"a sample of each set": "quick", "whole sets": "full", "whole sets, MiniLM fine-tuned": "minilm"}
SPACES = ("labels_eighth", "labels_quarter", "labels_half", "quick")


def draw(rows: ExperimentRows) -> Figure:
    """Draw the nested label samples, and data sets at each budget."""
    frame = rows.final("P", 1, base=["dense", *METHODS], split="test")
    runs = frame.set_index(["dataset", "budget", "seed", "base"])["value"].unstack("base")
    runs = runs.reindex(columns=["dense", *METHODS])
    labels = rows.final("labels", axes=()).groupby(["dataset", "budget"])["value"].first()
    # A cell without a dense layer, or without a sparse one, of one seed has no drop.
    drops = runs[METHODS].rsub(runs["dense"], axis=0).groupby(["dataset", "budget"]).mean().dropna(how="all")
    cells = [cell for cell in drops.index if cell in labels.index]
    parts = {NESTED: [(d, b) for d, b in cells if b in SPACES and (d, SPACES[0]) in cells]}
    parts |= {title: [cell for cell in cells if cell[1] == budget] for title, budget in SETS.items()}
    parts = {title: found for title, found in parts.items() if len(found) > 1}
    figure, axes = panels(list(parts), columns=2 if len(parts) == 4 else 3, share_y=True)
    labelled = []
    for panel, (title, found) in zip(axes, parts.items(), strict=True):
        drop = drops.loc[found].assign(labels=labels).sort_values("labels").set_index("labels", append=True)
        xs = drop.index.get_level_values("labels").astype(float)
        line = "-" if title == NESTED else "none"
        ends = []
        for base in drop.columns:
            points = drop[base].droplevel(["dataset", "budget"]).dropna()
            if len(points):
                panel.plot(points, linestyle=line, color=COLOUR[base], marker=MARKER[base], markersize=5)
                ends.append((float(points.index[-1]), float(points.iloc[-1]), SHORT[base], COLOUR[base]))
        if title != NESTED:
            name_points(panel, drop)
        panel.axhline(0, color="#999999", linewidth=1)
        log_ticks(panel, sorted(set(xs)))
        panel.set_xlabel("labels (log scale)")
        panel.set_ylabel("dense − sparse, test P@1 (points)")
        panel.tick_params(axis="x", labelsize=8, rotation=30)
        labelled.append(ends)
    # Limits are shared: every panel is drawn before they are fixed.
    figure.canvas.draw()
    for panel, ends in zip(axes, labelled, strict=True):
        style.end_labels(panel, ends)
    return figure


def name_points(panel: Axes, drop: pd.DataFrame) -> None:
    """Write over each data set's points, which stand above each other, what they are of."""
    panel.margins(y=0.12)
    tops = drop.max(axis=1).reset_index(name="top").to_dict("records")
    middle = (tops[0]["labels"] * tops[-1]["labels"]) ** 0.5
    for at in tops:
        right = at["labels"] > middle
        panel.annotate(
            at["dataset"],
            (at["labels"], at["top"]),
            xytext=(6 if right else -6, 6),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8,
            color="#555555",
        )
