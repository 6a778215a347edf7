"""Curves of one history metric, a colour a method, labelled at their ends."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xmcbench.reporting import style
from xmcbench.reporting.collected import Collected


def draw_curves(
    collected: Collected,
    metric: str,
    k: int | None,
    x: str,
    labels: tuple[str, str],
    log: bool = False,
    window: int = 1,
) -> Figure:
    """Draw the mean over seeds of a metric against `x`; window: rows of a centred running mean."""
    figure, axes = style.new_figure()
    if log:
        axes.set_yscale("log")
    history = collected.history[collected.history["metric"] == metric]
    if k is not None:
        history = history[history["k"] == k]
    ends = []
    for method in collected.methods["method"]:
        rows: pd.DataFrame = history[history["method"] == method]
        if rows.empty:
            continue
        curve = rows.groupby(x)["value"].mean()
        smooth = curve.rolling(window, center=True, min_periods=1).mean() if window > 1 else curve
        shade = style.colour(collected, method)
        if window > 1:
            axes.plot(curve.index, curve.to_numpy(), color=shade, linewidth=0.5, alpha=0.25)
        axes.plot(smooth.index, smooth.to_numpy(), color=shade)
        ends.append((float(smooth.index[-1]), float(smooth.iloc[-1]), collected.label(method), shade))
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.margins(x=0.01)
    _only_whole_numbers(axes, x)
    figure.canvas.draw()
    style.end_labels(axes, ends)
    return figure


def _only_whole_numbers(axes: Axes, x: str) -> None:
    if x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
