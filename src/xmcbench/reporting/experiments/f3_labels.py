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
    "How far test P@1 lies below the dense layer's, against the number of labels (log scale). Left: nested samples of one data "
    "set's labels; right of it: data sets and samples of them, which differ in more than their labels, so no line joins them, with "
    "a bag of words as encoder and with MiniLM fine-tuned. Mean over seeds."
)
METHODS = ["fixed_fan_in_set", "fixed_fan_in_set_intermediate", "fixed_fan_in_set_aux"]
NESTED = "nested samples of one set's labels"
#: The budget of whole sets whose encoder is a transformer.
TUNED = "minilm"
SPACES = ("labels_eighth", "labels_quarter", "labels_half", "quick")


def draw(rows: ExperimentRows) -> Figure:
    """Draw the nested label samples, and data sets with either encoder."""
    frame = rows.final("P", 1, base=["dense", *METHODS], split="test")
    mean = frame.groupby(["dataset", "budget", "base"])["value"].mean().unstack("base")
    labels = rows.final("labels", axes=()).groupby(["dataset", "budget"])["value"].first()
    nested = [p for p in mean.index if p[1] in SPACES and (p[0], SPACES[0]) in mean.index]
    whole = [p for p in mean.index if p[1] in ("quick", "full")]
    tuned = [p for p in mean.index if p[1] == TUNED]
    parts = {NESTED: nested, "data sets": whole, "data sets, MiniLM fine-tuned": tuned}
    parts = {title: found for title, found in parts.items() if len(found) > 1 and "dense" in mean.columns}
    figure, axes = panels(list(parts), share_y=True)
    labelled = []
    for panel, (title, found) in zip(axes, parts.items(), strict=True):
        drop = mean.loc[found, [m for m in METHODS if m in mean.columns]].rsub(
            mean.loc[found, "dense"], axis=0
        )
        drop = drop.loc[[p for p in drop.dropna(how="all").index if p in labels.index]]
        drop = drop.assign(labels=labels).sort_values("labels").set_index("labels", append=True)
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
            f"{at['dataset']}, {'whole' if at['budget'] in ('full', TUNED) else at['budget']}",
            (at["labels"], at["top"]),
            xytext=(6 if right else -6, 6),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8,
            color="#555555",
        )
