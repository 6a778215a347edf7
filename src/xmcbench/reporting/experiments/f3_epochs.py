"""Figure 3, right: learning curves at several sparsities."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._panels import cells_in, over_seeds, panels, shades

TITLE = "Figure 3, right: learning curves by sparsity"
CAPTION = "Validation P@1 over epochs at several fan-ins, without and with the auxiliary objective; the broken line is dense."
METHODS = {"fixed_fan_in_set": "without auxiliary", "fixed_fan_in_set_aux": "with auxiliary"}


def draw(rows: ExperimentRows) -> Figure:
    """Draw a panel without and one with the auxiliary objective, of each data set and budget."""
    curves = rows.curve("P", 1, axes=["fan_in"], base=list(METHODS), split="validation")
    where, colours = cells_in(curves), shades(curves, "@fan_in", largest_first=True)
    there = set(zip(curves["dataset"], curves["budget"], curves["base"], strict=True))
    parts = [(d, b, base) for d, b in where for base in METHODS if (d, b, base) in there]
    figure, axes = panels([f"{d}, {b}: {METHODS[base]}" for d, b, base in parts])
    labels = []
    for panel, (dataset, budget, base) in zip(axes, parts, strict=True):
        its = curves[(curves["dataset"] == dataset) & (curves["budget"] == budget) & (curves["base"] == base)]
        ends = []
        for fan_in, shade in colours.items():
            middle, _ = over_seeds(its[its["@fan_in"] == fan_in], "epoch")
            if middle.empty:
                continue
            panel.plot(middle.index, middle, color=shade)
            ends.append((float(middle.index[-1]), float(middle.iloc[-1]), f"K = {fan_in}", shade))
        dense = rows.curve("P", 1, base="dense", dataset=dataset, budget=budget, split="validation")
        if len(dense):
            middle, _ = over_seeds(dense, "epoch")
            panel.plot(middle.index, middle, color="#555555", linestyle="--", linewidth=1.2)
            ends.append((float(middle.index[-1]), float(middle.iloc[-1]), "dense", "#555555"))
        panel.set_xlabel("epoch")
        panel.set_ylabel("validation P@1 (%)")
        labels.append(ends)
    for place, (panel, cell) in enumerate(zip(axes, parts, strict=True)):
        if place and cell[:2] == parts[place - 1][:2]:
            panel.sharey(axes[place - 1])
    # Limits are shared within a data set: every panel is drawn before they are fixed.
    figure.canvas.draw()
    for panel, ends in zip(axes, labels, strict=True):
        style.end_labels(panel, ends)
    return figure
