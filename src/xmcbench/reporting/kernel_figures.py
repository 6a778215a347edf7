"""Figures of the kernels' measurements: the roofline, where true sparsity stops beating dense, and what labels cost."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from xmcbench.errors import DataError
from xmcbench.reporting import style
from xmcbench.reporting.experiments._panels import panels
from xmcbench.reporting.outputs import KERNELS, kernel_figures

#: Figure → its title and what it shows; of the GPU's: " on a GPU" is added.
PARTS = {
    "labels": (
        "What a label costs",
        "Seconds of a training step and bytes it needs (weights, index, and what the step takes beside them, measured) against "
        "the number of labels: dense with all scores formed, dense a chunk of labels at a time, and fixed fan-in fused. D = 768, "
        "B = 64, plain SGD, float32; 32 inputs a label.",
    ),
    "roofline": (
        "Roofline of the fused step",
        "Rate of the fused fixed fan-in step against operations a byte of main memory, under what the machine's best matrix "
        "product and its memory allow. Points above each other differ in inputs a label, in labels, or in labels a group. "
        "Rows where gradients were skipped are left out. On a GPU the rows of features come from its L2 cache, whose rate is "
        "the limit.",
    ),
    "crossover": (
        "Where true sparsity stops winning",
        "Speed-up of the fused fixed fan-in step over the best dense step there is (on a GPU one whose products may round to "
        "TF32), against density; below the dashed line dense wins.",
    ),
}


def captions() -> dict[str, tuple[str, str]]:
    """Return figure → its title and what it shows."""
    return {
        name: (title + (" on a GPU" if kernels == "kernels_gpu" else ""), words)
        for kernels in KERNELS
        for name, (title, words) in zip(kernel_figures(kernels), PARTS.values(), strict=True)
    }


def draw_kernel_figures(collected: Path, folder: Path, kernels: str = "kernels") -> None:
    """Draw every figure from <kernels>.csv and <kernels>_machine.csv in a folder."""
    for name in (f"{kernels}.csv", f"{kernels}_machine.csv"):
        if not (collected / name).is_file():
            raise DataError(f"{collected / name}: missing; run the kernels' benchmarks first")
    rows = pd.read_csv(collected / f"{kernels}.csv", dtype={c: "Int64" for c in ("L", "D", "B", "K", "G")})
    machine = pd.read_csv(collected / f"{kernels}_machine.csv").set_index("key")["value"]
    figures = (label_costs(rows), roofline(rows, machine), crossover(rows))
    for name, figure in zip(kernel_figures(kernels), figures, strict=True):
        style.save(figure, folder, name)


#: Operator → its name in the figure, in the order of the colours.
WAYS = {
    "dense.train_step": "dense, all scores",
    "dense_chunked.train_step": "dense, by chunks",
    "fixed_fan_in.train_step": "fixed fan-in, fused",
}


def label_costs(rows: pd.DataFrame) -> Figure:
    """Seconds and bytes of a step against the number of labels, each way."""
    its = rows[rows["extra_bytes"].notna() & rows["operator"].isin(WAYS)].sort_values("L")
    if its.empty:  # a part of the benchmarks was run
        return panels([])[0]
    figure, (left, right) = panels(["time of a step", "memory of a step"], columns=2)
    ends: dict[Axes, list[tuple[float, float, str, str]]] = {left: [], right: []}
    for place, (operator, name) in enumerate(WAYS.items()):
        found = its[its["operator"] == operator].drop_duplicates("L")
        shade = style.COLOURS[place]
        for axes, values in ((left, found["seconds"]), (right, _held_bytes(found) / 2**30)):
            if len(found):
                axes.plot(
                    found["L"].astype(float), values, color=shade, marker=style.MARKERS[place], markersize=5
                )
                ends[axes].append((float(found["L"].iloc[-1]), float(values.iloc[-1]), name, shade))
    for axes, unit in ((left, "seconds a step"), (right, "weights and step (GiB)")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        style.plain_log(axes.yaxis)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("labels")
        axes.set_ylabel(unit)
    figure.canvas.draw()
    for axes, labels in ends.items():
        style.end_labels(axes, labels)
    return figure


def _held_bytes(rows: pd.DataFrame) -> "pd.Series[float]":
    """Weights (float32) with biases, index of 16 bits where inputs are chosen, and what the step was measured to add."""
    labels, fan_in = rows["L"].astype(float), rows["K"].astype(float)
    chosen = rows["operator"].str.startswith("fixed_fan_in")
    return labels * (fan_in * (4 + 2 * chosen) + 4) + rows["extra_bytes"].astype(float)


def roofline(rows: pd.DataFrame, machine: "pd.Series[float]") -> Figure:
    """Rate of the fused step against operations a byte of main memory: weights read and written, index read."""
    figure, axes = style.new_figure()
    ours = rows["operator"].str.endswith("fan_in.train_step") & rows["share_of_sgemm"].notna()
    steps = rows[ours].drop_duplicates(["L", "B", "K", "dtype", "optimizer", "loss"])
    of = "gpu_" if "gpu_sgemm_rate" in machine else ""
    peak, bandwidth = float(machine[f"{of}sgemm_rate"]) / 1e9, float(machine[f"{of}copy_rate"]) / 1e9
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
        weights = its["dtype"].str.split(",").str[0]  # features stay in caches, whatever they are
        moved = weights.map({"float32": 8, "bfloat16": 4}).astype(float) + 2
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
    style.plain_log(axes.xaxis)
    style.plain_log(axes.yaxis)
    axes.set_xlabel("operations a byte of main memory")
    axes.set_ylabel("fused step (GFLOP/s)")
    if not steps.empty:
        axes.legend(loc="lower right")
    return figure


def crossover(rows: pd.DataFrame) -> Figure:
    """Speed-up over the best dense step against density K/D; below 1 dense wins."""
    figure, axes = style.new_figure()
    its = rows[
        rows["peer"].astype(str).str.startswith("dense")
        & (rows["operator"] == "fixed_fan_in.train_step")
        & (rows["dtype"] == "float32")
    ]
    its = its.groupby(["L", "B", "K", "D"])["ratio"].min().reset_index()
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
    style.plain_log(axes.xaxis)
    style.plain_log(axes.yaxis)
    axes.set_xlabel("density K/D (%)")
    axes.set_ylabel("speed-up over the best dense step")
    figure.canvas.draw()
    style.end_labels(axes, ends)
    return figure
