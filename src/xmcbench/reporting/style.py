"""One style for every figure, deterministic bytes; which colour is whose is in `looks`."""

from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from xmcbench.atomic import replacing

#: Okabe–Ito and two darker tones: told apart with the common kinds of colour blindness, and by marker without colour.
COLOURS = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8C564B",
    "#7F7F7F",
    "#6A3D9A",
]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "d", "h", "8"]
STYLE: dict[str, Any] = {
    "figure.figsize": (7.0, 4.4),
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "xmcbench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


def new_figure() -> tuple[Figure, Axes]:
    """Return a figure in the house style."""
    plt.style.use(STYLE)
    figure, axes = plt.subplots(layout="constrained")
    return figure, axes


def new_panels(parts: list[tuple[str, list[str]]]) -> tuple[Figure, list[tuple[tuple[str, list[str]], Axes]]]:
    """Return a figure with a panel for each (title, methods), one below the other with one scale, tall enough for labels."""
    plt.style.use(STYLE)
    width, height = STYLE["figure.figsize"]
    heights = [height if len(parts) < 2 else max(2.0, 0.7 + 0.21 * len(methods)) for _, methods in parts]
    figure, axes = plt.subplots(
        max(1, len(parts)),
        squeeze=False,
        sharex=True,
        sharey=True,
        figsize=(width, sum(heights) or height),
        height_ratios=heights or None,
        layout="constrained",
    )
    return figure, list(zip(parts, axes[:, 0], strict=False))


def save(figure: Figure, folder: Path, name: str) -> None:
    """Save PNG, SVG and PDF without dates, so that equal data give equal bytes."""
    metadata: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
    }
    for suffix, without in metadata.items():
        with replacing(folder / f"{name}.{suffix}") as tmp:
            figure.savefig(tmp, metadata=without)
        figure.set_layout_engine("none")  # the first one's places are those of all three, and found once
    plt.close(figure)


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis 1, 2, 5, 10 … instead of with powers of ten."""
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
    axis.set_minor_formatter(
        FuncFormatter(lambda v, _: f"{v:,g}" if f"{v:g}".lstrip("0.")[:1] in {"2", "5"} else "")
    )


#: Height of a line of labels, in inches.
LINE = 0.18


def end_labels(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write labels (x, y, text, colour) right of their curves, each as near to its end as the others allow."""
    if not ends:
        return
    axes.set_ylim(axes.get_ylim())
    to_unit = axes.transData + axes.transAxes.inverted()
    ends = sorted(ends, key=lambda end: end[1])
    heights = [float(to_unit.transform((x, y))[1]) for x, y, _, _ in ends]
    tall = axes.get_window_extent().height / axes.figure.dpi
    for (_, _, text, shade), height in zip(ends, _spread(heights, gap=LINE / tall), strict=True):
        axes.annotate(
            text,
            xy=(1.015, height),
            xycoords="axes fraction",
            color=shade,
            fontsize=8.5,
            va="center",
            annotation_clip=False,
        )


def _spread(heights: list[float], gap: float) -> list[float]:
    """Move rising heights as little as possible (least squares) so that neighbours are `gap` apart, within [0, 1]."""
    groups: list[list[float]] = []  # the targets of labels that touch, each less its rank's share of the gap
    for rank, height in enumerate(heights):
        groups.append([height - rank * gap])
        while len(groups) > 1 and mean(groups[-2]) >= mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    top = max(0.0, 1.0 - (len(heights) - 1) * gap)
    starts = [min(max(mean(group), 0.0), top) for group in groups for _ in group]
    return [start + rank * gap for rank, start in enumerate(starts)]
