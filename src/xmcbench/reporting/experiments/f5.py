"""Figure 5: the width of the intermediate layer."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._panels import cells_in, over_seeds, panels, shades

TITLE = "Figure 5: width of the intermediate layer"
CAPTION = "Validation P@1, PSP@1 and macro-P@1 over epochs for several widths of the intermediate layer."
METRICS = ("P", "PSP", "macro-P")


def draw(rows: ExperimentRows) -> Figure:
    """Draw a panel a metric, of each data set and budget."""
    found = rows.curve("P", 1, axes=["width"], split="validation")
    where, colours = cells_in(found), shades(found, "@width")
    parts = [(d, b, metric) for d, b in where for metric in METRICS]
    figure, axes = panels([f"{d}, {b}" for d, b, _ in parts])
    for panel, (dataset, budget, metric) in zip(axes, parts, strict=True):
        its = rows.curve(metric, 1, axes=["width"], dataset=dataset, budget=budget, split="validation")
        ends = []
        for width, shade in colours.items():
            middle, _ = over_seeds(its[its["@width"] == width], "epoch")
            if middle.empty:
                continue
            panel.plot(middle.index, middle, color=shade)
            ends.append((float(middle.index[-1]), float(middle.iloc[-1]), f"width {int(width):,}", shade))
        panel.set_xlabel("epoch")
        panel.set_ylabel(f"validation {metric}@1 (%)")
        figure.canvas.draw()
        style.end_labels(panel, ends)
    return figure
