"""Figures of the kernels' measurements: the roofline, and where true sparsity stops beating dense."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from xmcbench.errors import DataError
from xmcbench.reporting import style

FIGURES = ("kernels_roofline", "kernels_crossover")


def draw_kernel_figures(collected: Path, folder: Path) -> None:
    """Draw both figures from kernels.csv and kernels_machine.csv."""
    for name in ("kernels.csv", "kernels_machine.csv"):
        if not (collected / name).is_file():
            raise DataError(f"{collected / name}: missing; run the kernels' benchmarks first")
    rows = pd.read_csv(collected / "kernels.csv", dtype={c: "Int64" for c in ("L", "D", "B", "K", "G")})
    machine = pd.read_csv(collected / "kernels_machine.csv").set_index("key")["value"]
    style.save(roofline(rows, machine), folder, FIGURES[0])
    style.save(crossover(rows), folder, FIGURES[1])


def roofline(rows: pd.DataFrame, machine: "pd.Series[float]") -> Figure:
    """Rate of the fused step against operations a byte of main memory: weights read and written, index read."""
    figure, axes = style.new_figure()
    steps = rows[rows["share_of_sgemm"].notna()].drop_duplicates(
        ["L", "B", "K", "dtype", "optimizer", "loss"]
    )
    peak, bandwidth = float(machine["sgemm_rate"]) / 1e9, float(machine["copy_rate"]) / 1e9
    intensity = np.geomspace(1, 400, 60)
    axes.plot(intensity, np.minimum(peak, bandwidth * intensity), color="#555555", linewidth=1.4)
    axes.annotate(
        "best matrix product",
        (intensity[-1], peak),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
    )
    for place, (batch, its) in enumerate(steps.groupby("B")):
        moved = its["dtype"].map({"float32": 8, "bfloat16": 4}).astype(float) + 2
        moved += its["optimizer"].map({"adamw": 16, "momentum": 8}).fillna(0).astype(float)
        rate = (
            6e-9 * its["B"].astype(float) * its["L"].astype(float) * its["K"].astype(float) / its["seconds"]
        )
        axes.plot(
            6 * its["B"].astype(float) / moved,
            rate,
            style.MARKERS[place % len(style.MARKERS)],
            color=style.COLOURS[place % len(style.COLOURS)],
            markersize=5,
            label=f"B = {batch}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_numbers(axes)
    axes.set_xlabel("operations a byte of main memory")
    axes.set_ylabel("fused step (GFLOP/s)")
    if not steps.empty:
        axes.legend(loc="lower right")
    return figure


def crossover(rows: pd.DataFrame) -> Figure:
    """Speed-up over the best dense step against density K/D; below 1 dense wins."""
    figure, axes = style.new_figure()
    its = rows[(rows["peer"] == "dense_chunked.train_step") & (rows["operator"] == "fixed_fan_in.train_step")]
    ends = []
    for place, ((labels, batch), group) in enumerate(its.groupby(["L", "B"])):
        group = group.sort_values("K")
        density = 100 * group["K"].astype(float) / group["D"].astype(float)
        shade = style.COLOURS[place % len(style.COLOURS)]
        axes.plot(
            density,
            group["ratio"],
            marker=style.MARKERS[place % len(style.MARKERS)],
            markersize=5,
            color=shade,
        )
        ends.append(
            (float(density.iloc[-1]), float(group["ratio"].iloc[-1]), f"B = {batch}, L = {labels:,}", shade)
        )
    axes.axhline(1, color="#555555", linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_numbers(axes)
    axes.set_xlabel("density K/D (%)")
    axes.set_ylabel("speed-up over the best dense step")
    figure.canvas.draw()
    style.end_labels(axes, ends)
    return figure


def _plain_numbers(axes: Axes) -> None:
    """Label logarithmic axes 1, 2, 5, 10 … instead of powers of ten."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda v, _: f"{v:g}" if f"{v:g}"[0] in "25" else ""))
