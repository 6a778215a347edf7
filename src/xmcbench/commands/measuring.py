"""Measurements of the engine itself: kernels, loader, label frequencies."""

import argparse
import logging
from pathlib import Path

from xmcbench.commands.command import Register, require_device


def register(command: Register) -> None:
    """Add the commands."""
    collect = command("kernels-collect", _kernels_collect, "collect the kernels' benchmarks", "json", "out")
    device = command("kernels-device", _kernels_device, "refuse where the benchmarks' device is missing")
    for sub in (collect, device):
        sub.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    figures = command("kernels-figures", _kernels_figures, "draw the kernels' figures from CSV")
    figures.add_argument("--rows", type=Path, default=Path("results/collected"), help="folder of kernels.csv")
    figures.add_argument("--out", type=Path, default=Path("results/figures/kernels"))
    figures.add_argument("--kernels", default="kernels", help="name of the files: kernels, kernels_gpu")
    frequencies = command(
        "label-frequencies", _label_frequencies, "count labels of real and synthetic data", "out"
    )
    frequencies.add_argument(
        "--prepared", type=Path, nargs="*", default=[], help="folders of prepared data sets"
    )
    frequencies.add_argument("--like", nargs="*", default=[], help="names of published data sets")
    frequency = command("frequency-figure", _frequency_figure, "draw the label frequencies from CSV")
    frequency.add_argument("--results", type=Path, default=Path("results"))
    command("loader-collect", _loader_collect, "collect the loader's benchmarks", "json", "out")
    turns = command(
        "in-turns-collect", _in_turns_collect, "collect seconds of methods that took turns", "out"
    )
    turns.add_argument("--json", type=Path, nargs="+", required=True, help="a file a contest")


def _kernels_collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.benchmark_file import environment_of
    from xmcbench.reporting.kernel_rows import write_kernel_rows

    write_kernel_rows(parsed.json, environment_of(parsed.json, parsed.device), parsed.out)


def _kernels_device(parsed: argparse.Namespace, log: logging.Logger) -> None:
    """Say before minutes of benchmarks, not after, that there is nothing to measure."""
    require_device(parsed.device, "kernels_gpu", "kernels")


def _kernels_figures(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.kernel_figures import draw_kernel_figures

    draw_kernel_figures(parsed.rows, parsed.out, parsed.kernels)


def _loader_collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.benchmark_file import environment_of
    from xmcbench.reporting.loader_rows import write_loader_rows

    write_loader_rows(parsed.json, environment_of(parsed.json, "cpu"), parsed.out)


def _in_turns_collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.in_turns_rows import write_in_turns_rows

    write_in_turns_rows(parsed.json, parsed.out)


def _label_frequencies(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.atomic import write_text
    from xmcbench.data.rank_frequency import COLUMNS, embedded_rows, published_rows
    from xmcbench.reporting.collect import csv_text

    rows = [row for folder in parsed.prepared for row in embedded_rows(folder)]
    for like in parsed.like:
        rows += published_rows(like)
        log.info("counted a synthetic data set like %s", like)
    write_text(parsed.out, csv_text(COLUMNS, rows))


def _frequency_figure(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.frequency_figure import NAME, draw_frequency_figure

    draw_frequency_figure(parsed.results / "collected" / f"{NAME}.csv", parsed.results / "figures" / "scale")
