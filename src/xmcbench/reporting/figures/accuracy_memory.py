"""Accuracy against the memory that training the classifier takes."""

from matplotlib.figure import Figure

from xmcbench.reporting import looks, style
from xmcbench.reporting.collected import Collected

CAPTION = (
    "Precision at 1 on the test documents against the memory that training the classifier holds: weights, index, mask, "
    "gradient, optimiser state, scores, and intermediate layer or auxiliary head where there is one. One point a method; "
    "left and up is better. The grey line is the Pareto front: no method beside it is both smaller and better. Points with less than half of the best accuracy are named in the legend alone."
)
MIB = 2**20


def draw(collected: Collected) -> Figure:
    """Draw one labelled point a method (mean over seeds)."""
    figure, axes = style.new_figure()
    accuracy = collected.values("P", 1).groupby("method")["value"].mean()
    memory = collected.values("memory_classifier").groupby("method")["value"].mean() / MIB
    points = [
        (float(memory[m]), float(accuracy[m]), m)
        for m in collected.methods["method"]
        if m in accuracy.index and m in memory.index
    ]
    best = max((y for _, y, _ in points), default=0.0)
    shown = [point for point in points if 2 * point[1] >= best]
    axes.set_xscale("log")
    marks = looks.markers([method for _, _, method in shown])
    for x, y, method in shown:
        shade = looks.colour(method)
        axes.plot(
            [x],
            [y],
            marks[method],
            color=shade,
            markersize=8,
            label=collected.label(method),
        )
    front = pareto_front([(x, y) for x, y, _ in shown])
    axes.plot(*zip(*front, strict=True), color="#999999", linewidth=1, zorder=0) if front else None
    axes.set_xlabel("classifier memory in training (MiB, log scale)")
    axes.set_ylabel("P@1 (%)")
    style.plain_log(axes.xaxis)
    axes.margins(x=0.08, y=0.1)
    for x, y, method in points:
        if 2 * y < best:
            axes.plot([], [], " ", label=f"{collected.label(method)}\n({y:.1f} % at {x:.2g} MiB, not drawn)")
    if shown:
        many = len(shown) > 16
        if many:  # room for two columns beside the points, and above one another
            figure.set_size_inches(11, max(4.4, 0.13 * len(shown)))
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            labelspacing=0.5 if many else 0.7,
            fontsize=7 if many else None,
            ncols=2 if many else 1,
        )
    return figure


def pareto_front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (memory, accuracy) that no other beats in both, by rising memory."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front
