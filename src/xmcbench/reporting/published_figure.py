"""Printed precision over printed memory, one panel a data set."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xmcbench.reporting import style
from xmcbench.reporting.experiments._panels import panels
from xmcbench.reporting.point_labels import label_points
from xmcbench.reporting.published import read_published

CAPTION = (
    "P@1 over peak memory in training as papers print them (log scale). Protocols and machines differ between papers, which the "
    "colour tells apart; a hollow mark is unverified. Where points crowd, the best are named; the tables name all."
)


def draw(published: pd.DataFrame) -> Figure:
    """Draw the methods of which both numbers are printed, on data sets that have at least three."""
    points = _points(published)
    papers = list(dict.fromkeys(points["paper"]))
    counts = points["dataset"].value_counts()
    datasets = [d for d in dict.fromkeys(points["dataset"]) if counts[d] >= 3]
    figure, axes = panels(datasets)
    shade = {paper: style.COLOURS[place % len(style.COLOURS)] for place, paper in enumerate(papers)}
    named = []
    for panel, dataset in zip(axes, datasets, strict=True):
        its = points[points["dataset"] == dataset].to_dict("records")
        panel.set_xscale("log")
        for point in its:
            sure = point["certainty"] != "unverified"
            panel.plot(
                [point["memory"]],
                [point["precision"]],
                "o",
                color=shade[point["paper"]],
                markerfacecolor=shade[point["paper"]] if sure else "none",
                markersize=5,
            )
        panel.set_xlabel("peak memory (GiB, log scale)")
        panel.set_ylabel("P@1 (%)")
        panel.margins(0.15)
        style.plain_log(panel.xaxis)
        # The best of a crowd are named; the tables name all.
        its.sort(key=lambda point: -point["precision"])
        named.append([(p["memory"], p["precision"], str(p["method"]), shade[p["paper"]]) for p in its])
    handles = [Line2D([], [], marker="o", linestyle="", color=shade[p], label=p) for p in papers]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(papers))
    figure.canvas.draw()
    for panel, names in zip(axes, named, strict=True):
        label_points(panel, names)
    return figure


def write_figure(folder: Path, out: Path) -> None:
    """Draw accuracy_memory.{png,svg,pdf}; folder: results/published."""
    style.save(draw(read_published(folder)), out, "accuracy_memory")


def _points(published: pd.DataFrame) -> pd.DataFrame:
    key = ["paper", "dataset", "method"]
    known = published[published["value"].notna()]
    precision = known[(known["metric"] == "P") & (known["k"] == 1)].drop_duplicates(key)
    memory = known[known["metric"] == "peak_memory"].drop_duplicates(key)
    both = precision.merge(memory[[*key, "value"]], on=key, suffixes=("", "_memory"))
    both = both.rename(columns={"value": "precision", "value_memory": "memory"})
    # Baselines quote what ELMO measured.
    return both.sort_values("paper", key=lambda p: p == "baselines", kind="stable").drop_duplicates(
        ["dataset", "precision", "memory"]
    )
