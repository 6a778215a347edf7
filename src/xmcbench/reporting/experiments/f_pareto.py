"""Accuracy over classifier memory, of the main methods."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR, MAIN, MARKER, SHORT
from xmcbench.reporting.experiments._panels import panels
from xmcbench.reporting.experiments._table import MEMORY, PRECISION, Place, cells, value
from xmcbench.reporting.figures.accuracy_memory import pareto_front
from xmcbench.reporting.point_labels import label_points

TITLE = "Accuracy over classifier memory"
CAPTION = "Test P@1 against the memory that training the classifier holds (log scale), one panel a data set. Grey: the Pareto front."


def draw(rows: ExperimentRows) -> Figure:
    """Draw one panel a data set and budget that has most of the main methods."""
    where = [c for c in cells(rows, ["dense"]) if sum(c in cells(rows, [m]) for m in MAIN) > len(MAIN) // 2]
    figure, axes = panels([f"{d}, {b}" for d, b in where])
    named = []
    for panel, (dataset, budget) in zip(axes, where, strict=True):
        points: list[tuple[float, float]] = []
        names: list[tuple[float, float, str, str]] = []
        for method in MAIN:
            place = Place(dataset, budget, method)
            x, y = value(rows, place, MEMORY), value(rows, place, PRECISION[0])
            if x is not None and y is not None:
                points.append((x, y))
                panel.plot([x], [y], MARKER[method], color=COLOUR[method], markersize=7)
                names.append((x, y, SHORT[method], COLOUR[method]))
        panel.set_xscale("log")
        panel.plot(*zip(*pareto_front(points), strict=True), color="#999999", linewidth=1, zorder=0)
        panel.set_xlabel("classifier memory in training (MiB, log scale)")
        panel.set_ylabel("test P@1 (%)")
        panel.margins(0.15)
        style.plain_log(panel.xaxis)
        named.append(names)
    figure.canvas.draw()
    for panel, names in zip(axes, named, strict=True):
        label_points(panel, names, fontsize=8)
    return figure
