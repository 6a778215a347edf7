"""Panels side by side, and what every figure of experiments does with one."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from xmcbench.reporting import style
from xmcbench.reporting.experiments._methods import COLOUR, SHORT

#: Inches: a panel with room for the labels at the ends of its curves.
WIDTH, HEIGHT = 4.6, 3.4


def panels(titles: list[str], columns: int = 3, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure in the house style with a panel for each title, at most `columns` beside one another."""
    plt.style.use(style.STYLE)
    count = max(1, len(titles))
    across = min(columns, count)
    down = -(-count // across)
    figure, axes = plt.subplots(
        down,
        across,
        squeeze=False,
        sharey=share_y,
        figsize=(WIDTH * across, HEIGHT * down),
        layout="constrained",
    )
    flat = list(axes.flat)
    for empty in flat[count:]:
        empty.set_visible(False)
    for panel, title in zip(flat, titles, strict=False):
        panel.set_title(title, loc="left", fontsize=10)
    if not titles:
        flat[0].text(0.5, 0.5, "no runs yet", ha="center", va="center", transform=flat[0].transAxes)
        flat[0].set_axis_off()
    return figure, flat[:count] if titles else []


def cells_in(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the (dataset, budget) of rows, in their order."""
    found = frame[["dataset", "budget"]].drop_duplicates()
    return [(str(dataset), str(budget)) for dataset, budget in found.itertuples(index=False)]


def log_ticks(axes: Axes, values: list[float]) -> None:
    """Put a logarithmic x axis' ticks at the points that were run."""
    axes.set_xscale("log")
    apart: list[float] = []  # ticks so near that their numbers would touch are left out
    for value in values:
        if not apart or value > 1.15 * apart[-1]:
            apart.append(value)
    axes.set_xticks(apart)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()


def shades(frame: pd.DataFrame, axis: str, largest_first: bool = False) -> dict[str, str]:
    """Return the colour of each value of a numeric axis, in the order of the values: one for all panels of a figure."""
    order = sorted(frame.get(axis, pd.Series(dtype=str)).unique(), key=int, reverse=largest_first)
    return {value: style.COLOURS[place % len(style.COLOURS)] for place, value in enumerate(order)}


def over_seeds(frame: pd.DataFrame, x: str) -> tuple[pd.Series, pd.Series]:
    """Return the mean over seeds by x, and the standard deviation (NaN of one seed)."""
    grouped = frame.groupby(x)["value"]
    return grouped.mean(), grouped.std()


def method_curves(axes: Axes, frame: pd.DataFrame, methods: Iterable[str], unit: str) -> None:
    """Draw each method's mean over seeds by epoch, labelled at its end."""
    ends = []
    for base in methods:
        middle, _ = over_seeds(frame[frame["base"] == base], "epoch")
        axes.plot(middle.index, middle, color=COLOUR[base])
        ends.append((float(middle.index[-1]), float(middle.iloc[-1]), SHORT[base], COLOUR[base]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.figure.canvas.draw()
    style.end_labels(axes, ends)


def with_errors(axes: Axes, frame: pd.DataFrame, x: str, colour: str, marker: str) -> tuple[float, float]:
    """Draw means with error bars of one standard deviation where there are several seeds; return the last point."""
    middle, spread = over_seeds(frame, x)
    if spread.notna().any():
        axes.errorbar(middle.index, middle, yerr=spread, color=colour, marker=marker, capsize=2, markersize=5)
    else:
        axes.plot(middle.index, middle, color=colour, marker=marker, markersize=5)
    return float(middle.index[-1]), float(middle.iloc[-1])
