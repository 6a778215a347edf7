"""Figure: how often labels occur in the synthetic data, beside the embedded real sets and the published numbers."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xmcbench.errors import DataError
from xmcbench.reporting import style

NAME = "synthetic_realism"


def draw_frequency_figure(file: Path, folder: Path) -> None:
    """Draw the figure from the CSV of rank-frequency rows."""
    if not file.is_file():
        raise DataError(f"{file}: missing; count the label frequencies first")
    style.save(rank_frequency(pd.read_csv(file, dtype={"rank": "Int64"})), folder, NAME)


def rank_frequency(rows: pd.DataFrame) -> Figure:
    """Left: real and synthetic of the same numbers. Right: synthetic of published numbers."""
    figure, _ = style.new_figure()
    figure.clear()
    figure.set_size_inches(11.6, 5.4)
    left, right = figure.subplots(1, 2, sharey=True)
    real = list(rows.loc[rows["source"] == "real", "dataset"].drop_duplicates())
    other = [d for d in rows["dataset"].drop_duplicates() if d not in real]
    _curves(left, rows, real, "Real sets, and synthetic ones of their numbers", "real")
    _curves(right, rows, other, "Synthetic sets of published numbers", "published")
    left.set_ylabel("training documents of the label")
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, datasets: list[str], title: str, other: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("rank of the label")
    for place, dataset in enumerate(datasets):
        its = rows[rows["dataset"] == dataset]
        shade = style.COLOURS[place % len(style.COLOURS)]
        for source, line in (("real", "-"), ("synthetic", "--")):
            curve = its[(its["source"] == source) & (its["statistic"] == "documents of rank")]
            axes.plot(curve["rank"].astype(float), curve["value"], line, color=shade)
        axes.plot([], [], "s", color=shade, label=f"{dataset}: {_numbers(its, other)}")
    handles = axes.get_legend_handles_labels()[0]
    handles.append(Line2D([], [], color="#555555", linestyle="dashed", label="synthetic"))
    if other == "real":
        handles.append(Line2D([], [], color="#555555", linestyle="solid", label="real"))
    # Below the axes: curves of any set must stay visible.
    axes.legend(
        handles=handles,
        title=f"labels/document, documents/label, tail share: synthetic ({other})",
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.14),
        fontsize=8,
        title_fontsize=8,
        alignment="left",
    )


def _numbers(its: pd.DataFrame, other: str) -> str:
    """Return the three numbers of the synthetic set, and in brackets the real or published ones."""
    statistics = {"labels per document": ".2f", "documents per label": ".2f", "tail share": ".3f"}
    parts = []
    for statistic, form in statistics.items():
        value = its[its["statistic"] == statistic].set_index("source")["value"]
        shown = [f"{value[source]:{form}}" if source in value else "–" for source in ("synthetic", other)]
        parts.append(f"{shown[0]} ({shown[1]})")
    return ", ".join(parts)
