"""Curves of one history metric, a colour a method (and a dash where two have one), labelled at their ends."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xmcbench.reporting import looks, style
from xmcbench.reporting.collected import Collected

#: Curves whose labels fit beside one another at the end of one panel.
MOST = 16


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
    history = collected.history[collected.history["metric"] == metric]
    if k is not None:
        history = history[history["k"] == k]
    has = set(history["method"])
    methods = [m for m in collected.methods["method"] if m in has]
    figure, panels = style.new_panels(_panels(collected, methods))
    for (title, its), axes in panels:
        if log:
            axes.set_yscale("log")
            style.plain_log(axes.yaxis)
        dashes = looks.dashes(its)
        ends = [_draw(collected, history, method, x, window, axes, dashes[method]) for method in its]
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.margins(x=0.01)
        if x == "epoch":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.canvas.draw()
        style.end_labels(axes, ends)
    return figure


def _panels(collected: Collected, methods: list[str]) -> list[tuple[str, list[str]]]:
    """Return (title, methods) of each panel: one for all, or one a group where labels would not fit beside one."""
    if len(methods) <= MOST:
        return [("", methods)]
    group = dict(zip(collected.methods["method"], collected.methods["group"], strict=True))
    return [
        (str(name), [m for m in methods if group[m] == name])
        for name in dict.fromkeys(group[m] for m in methods)
    ]


def _draw(
    collected: Collected,
    history: pd.DataFrame,
    method: str,
    x: str,
    window: int,
    axes: Axes,
    dash: str,
) -> tuple[float, float, str, str]:
    """Draw a method's curve; return its end, its label and its colour."""
    curve = history[history["method"] == method].groupby(x)["value"].mean()
    smooth = curve.rolling(window, center=True, min_periods=1).mean() if window > 1 else curve
    shade = looks.colour(method)
    if window > 1:
        axes.plot(curve.index, curve.to_numpy(), color=shade, linewidth=0.5, alpha=0.25)
    axes.plot(smooth.index, smooth.to_numpy(), color=shade, linestyle=looks.DASHES[dash])
    label = f"{collected.label(method)} ({dash})" if dash else collected.label(method)
    return float(smooth.index[-1]), float(smooth.iloc[-1]), label, shade
