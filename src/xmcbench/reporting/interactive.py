"""Accuracy against memory to hover over and to filter by group, for the page; asks no network for anything."""

import math

import plotly.graph_objects as go

from xmcbench.reporting import style
from xmcbench.reporting.collected import Collected

MIB = 2**20
#: All that the plot offers; its library knows others, some of which would leave the page.
BUTTONS = ["toImage", "zoom2d", "pan2d", "resetScale2d"]


def accuracy_memory(collected: Collected) -> str:
    """Return HTML with the plotting library in it: one point a method, a legend entry a group (a click hides it)."""
    run = {
        name: collected.values(metric, k).groupby("method")["value"].mean()
        for name, metric, k in (
            ("P@1", "P", 1),
            ("PSP@1", "PSP", 1),
            ("memory", "memory_classifier", None),
            ("epoch", "epoch_seconds", None),
        )
    }
    figure = go.Figure()
    best = float(run["P@1"].max())
    seen = [m for m in run["memory"].index if 2 * run["P@1"].get(m, 0.0) >= best]
    methods = collected.methods
    for place, (group, its) in enumerate(methods.groupby("group", sort=False)):
        names = [m for m in its["method"] if m in run["P@1"].index and m in run["memory"].index]
        if not names:
            continue
        figure.add_trace(
            go.Scatter(
                x=[float(run["memory"][m]) / MIB for m in names],
                y=[float(run["P@1"][m]) for m in names],
                mode="markers",
                name=str(group),
                text=[collected.label(m) for m in names],
                customdata=[[run["PSP@1"].get(m), run["epoch"].get(m)] for m in names],
                hovertemplate=(
                    "<b>%{text}</b><br>P@1 %{y:.2f} %, PSP@1 %{customdata[0]:.2f} %<br>"
                    "classifier %{x:.2f} MiB, epoch %{customdata[1]:.2f} s<extra></extra>"
                ),
                marker={"size": 11, "color": style.COLOURS[place % len(style.COLOURS)]},
            )
        )
    figure.update_layout(
        template="plotly_white",
        height=460,
        margin={"l": 60, "r": 10, "t": 10, "b": 110},
        legend={"orientation": "h", "y": -0.22},
        xaxis={"title": "classifier memory in training (MiB, log scale)", "type": "log"},
        yaxis={"title": "P@1 (%)"},
        hoverlabel={"bgcolor": "white"},
    )
    if seen:  # opens on what is worth comparing; the rest is a double click away
        low, high = (f(float(run["P@1"][m]) for m in seen) for f in (min, max))
        sizes = [math.log10(float(run["memory"][m]) / MIB) for m in seen]
        figure.update_yaxes(range=[low - 1, high + 1])
        figure.update_xaxes(range=[min(sizes) - 0.1, max(sizes) + 0.1])
    # The library's own marks of a log scale are digits without their power of ten.
    marks = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
    figure.update_xaxes(tickmode="array", tickvals=marks, ticktext=[f"{mark:,g}" for mark in marks])
    html: str = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        include_mathjax=False,
        div_id="accuracy-memory",
        config={"displaylogo": False, "responsive": True, "modeBarButtons": [BUTTONS]},
    )
    return html
