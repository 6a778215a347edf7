"""The thin command line that workflow rules call: one command a step, heavy imports inside the commands."""

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from xmcbench.errors import Interrupted, XmcbenchError

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 2 a mistake that one line explains, 1 anything else."""
    parsed = _parser().parse_args(arguments)
    log = _logger(getattr(parsed, "log", None))
    try:
        parsed.command(parsed, log)
    except XmcbenchError as error:
        _failed(parsed, error)
        log.error("error: %s", error)
        return 2
    except Exception as error:  # anything else is ours: keep the traceback where it can be found
        _failed(parsed, error)
        log.debug("%s", traceback.format_exc())
        log.error("error: %s: %s (traceback in the log)", type(error).__name__, error)
        return 1
    return 0


def _fetch(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.fetch.fetch import fetch
    from xmcbench.data.fetch.record import RECORD
    from xmcbench.errors import ConfigError

    if parsed.out.name != RECORD:
        raise ConfigError(f"--out: {parsed.out}; allowed: a path that ends in {RECORD}")
    sources = parsed.sources or parsed.config / "sources.tsv"
    lock = parsed.lock or sources.with_suffix(".lock.tsv")
    fetch(parsed.dataset, sources, lock, parsed.out.parent, log=log)


def _prepare(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.prepare import prepare
    from xmcbench.plan import Project

    spec = _known(Project(parsed.config).datasets, parsed.dataset, "--dataset")
    manifest = prepare(spec, parsed.out, parsed.raw)
    log.info("%s: %s documents, %d labels", parsed.dataset, manifest.documents, manifest.labels)


def _sample(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.sample import sample
    from xmcbench.plan import Project

    project = Project(parsed.config)
    spec = _known(project.datasets, parsed.dataset, "--dataset")
    _known(project.budgets, parsed.budget, "--budget")
    manifest = sample(parsed.prepared, spec, parsed.budget, project.sample_rule(parsed.budget), parsed.out)
    log.info(
        "%s %s: %s documents, %d labels", parsed.dataset, parsed.budget, manifest.documents, manifest.labels
    )


def _tokenise(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.tokens import tokenise
    from xmcbench.plan import parse_tokens_name

    tokenise(parsed.sample, parsed.out, *parse_tokens_name(parsed.name), parsed.processes, log)
    log.info("tokens written to %s", parsed.out)


def _group(parsed: argparse.Namespace, log: logging.Logger) -> None:
    import resource
    import time

    from xmcbench.data import label_centroids, label_groups
    from xmcbench.data.store import PreparedStore
    from xmcbench.data.tokens import TokenStore
    from xmcbench.errors import ConfigError

    started = time.perf_counter()
    store = PreparedStore.open(parsed.sample)
    split = store.split("train")
    # The centroids go into the tree without a name of ours, so that it can let them go.
    if parsed.grouping == "random":
        group_L = label_groups.random_groups(store.labels, parsed.groups, parsed.seed)
    elif parsed.features is not None:
        rows = store.labels if parsed.feature_rows == "labels" else split.documents
        features = label_centroids.load_features(parsed.features, rows, parsed.feature_rows)
        group_L = label_groups.balanced_groups(
            label_centroids.unit_rows(features)
            if parsed.feature_rows == "labels"
            else label_centroids.feature_centroids([split], features, store.labels),
            *(parsed.groups, parsed.seed, parsed.threads),
        )
    elif parsed.tokens is not None:
        tokens = TokenStore.open(parsed.tokens)
        group_L = label_groups.balanced_groups(
            label_centroids.label_centroids(
                [split], [tokens.split("train")], store.labels, tokens.vocabulary, parsed.terms
            ),
            *(parsed.groups, parsed.seed, parsed.threads),
        )
    else:
        raise ConfigError(
            "group: semantic groups are made of --tokens or --features; allowed: one of the two"
        )
    seconds = time.perf_counter() - started
    label_groups.write_groups(parsed.out, group_L, [split], parsed.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    log.info(
        "%d labels in %d groups: %.1f s, peak of the process %.2f GiB",
        *(store.labels, parsed.groups, seconds, peak),
    )


def _train(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.recipe import TrainRecipe, recipe_of

    recipe = recipe_of(json.loads(parsed.recipe))
    if isinstance(recipe, TrainRecipe):
        from xmcbench.training.run import train_run

        train_run(
            recipe,
            parsed.run,
            parsed.sample,
            parsed.tokens,
            parsed.groups,
            parsed.checkpoint_seconds,
            log,
            parsed.loader_workers,
        )
    else:
        from xmcbench.training.reference import reference_run

        reference_run(recipe, parsed.run, parsed.sample, parsed.tokens, log)
    (parsed.run / "failed.json").unlink(missing_ok=True)


def _score(parsed: argparse.Namespace, log: logging.Logger) -> None:
    import shutil

    from xmcbench.evaluation.score import score_run

    score_run(parsed.run, parsed.sample)
    # Only now are the checkpoints of no further use: until here a killed workflow goes on from them.
    shutil.rmtree(parsed.run / "checkpoints", ignore_errors=True)
    log.info("scored %s", parsed.run)


def _collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.collect import collect_grid

    collect_grid(parsed.config, parsed.grid, parsed.source, parsed.results, partial=False)
    log.info("collected %s", parsed.source)


def _tables(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.tables import write_tables

    write_tables(parsed.source, parsed.results)


def _figures(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.figures import draw_all

    draw_all(parsed.source, parsed.results)


def _report(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.report import write_report

    if parsed.partial:
        from xmcbench.reporting.partial import partial_report

        partial_report(parsed.config, parsed.grid, parsed.source, parsed.results, parsed.out)
        log.info("partial report: %s", parsed.out)
    else:
        write_report(parsed.source, parsed.results, parsed.out)


def _kernels_collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.kernel_rows import write_kernel_rows
    from xmcbench.training.hardware import environment

    write_kernel_rows(parsed.json, environment(parsed.device), parsed.out)


def _kernels_device(parsed: argparse.Namespace, log: logging.Logger) -> None:
    """Say before minutes of benchmarks, not after, that there is nothing to measure."""
    import torch

    from xmcbench.errors import DeviceError

    if parsed.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "kernels_gpu: this machine has no CUDA device that torch can use; allowed here: the target kernels"
        )


def _kernels_figures(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.kernel_figures import draw_kernel_figures

    draw_kernel_figures(parsed.results / "collected", parsed.results / "figures" / "kernels")


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


def _loader_collect(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.loader_rows import write_loader_rows
    from xmcbench.training.hardware import environment

    write_loader_rows(parsed.json, environment("cpu"), parsed.out)


def _schemas(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.schemas import write_schemas

    write_schemas(parsed.out)


def _readme(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.readme import rewrite_readme

    rewrite_readme(parsed.readme, parsed.reference)


def _check(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.plan import Project

    project = Project(parsed.config)
    project.check()
    log.info(
        "%d methods, %d data sets, %d grids", len(project.methods), len(project.datasets), len(project.grids)
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}; allowed: 1 or more")
    return value


def _known(values: dict[str, T], name: str, key: str) -> T:
    from xmcbench.errors import ConfigError, allowed

    if name not in values:
        raise ConfigError(f"{key}: unknown value {name!r}; {allowed(values)}")
    return values[name]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _failed(parsed: argparse.Namespace, error: BaseException) -> None:
    """Leave the reason of a failed run where the partial report finds it; a requested stop is no failure."""
    if getattr(parsed, "leaves_reason", False) and not isinstance(error, Interrupted):
        from xmcbench.atomic import write_json

        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        write_json(parsed.run / "failed.json", {"reason": reason})


def _logger(file: Path | None) -> logging.Logger:
    """Log lines to the console and, with tracebacks, to the rule's log file."""
    log = logging.getLogger("xmcbench")
    log.setLevel(logging.DEBUG)
    log.handlers.clear()
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.INFO)
    console.setFormatter(logging.Formatter("xmcbench: %(message)s"))
    log.addHandler(console)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
    return log


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xmcbench", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config"), help="configuration folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str, *paths: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        sub.add_argument("--log", type=Path, default=None, help="log file")
        for path in paths:
            sub.add_argument(f"--{path}", type=Path, required=True)
        return sub

    fetch = command("fetch", _fetch, "fetch a data set's public files", "out")
    fetch.add_argument("--dataset", required=True)
    fetch.add_argument(
        "--sources", type=Path, default=None, help="list of sources (default: CONFIG/sources.tsv)"
    )
    fetch.add_argument(
        "--lock",
        type=Path,
        default=None,
        help="trust on first use (default: beside the list, sources.lock.tsv)",
    )
    prepare = command("prepare", _prepare, "parse and split a data set", "out")
    prepare.add_argument("--dataset", required=True)
    prepare.add_argument("--raw", type=Path, default=None, help="folder of the data set's files")
    sample = command("sample", _sample, "take a budget's sample", "prepared", "out")
    sample.add_argument("--dataset", required=True)
    sample.add_argument("--budget", required=True)
    tokenise = command("tokenise", _tokenise, "tokenise a sample", "sample", "out")
    tokenise.add_argument("--name", required=True, help="tokenizer+length[+special]")
    tokenise.add_argument(
        "--processes", type=int, default=_cores(), help="changes no byte (default: one a core)"
    )
    group = command("group", _group, "group labels for the auxiliary objective", "sample", "out")
    group.add_argument("--tokens", type=Path, default=None, help="centroids from TF-IDF of these tokens")
    group.add_argument(
        "--features",
        type=Path,
        default=None,
        help="centroids from this array (.npy, rows × features) instead",
    )
    group.add_argument(
        "--feature-rows",
        choices=["documents", "labels"],
        default="documents",
        help="what the rows of --features are: training documents, or the labels themselves",
    )
    group.add_argument(
        "--terms", type=_count, default=None, help="heaviest terms kept of each centroid (default: all)"
    )
    group.add_argument(
        "--threads", type=_count, default=os.cpu_count() or 1, help="they do not change the groups"
    )
    group.add_argument("--grouping", choices=["semantic", "random"], required=True)
    group.add_argument("--groups", type=int, required=True)
    group.add_argument("--seed", type=int, required=True)
    train = command(
        "train", _train, "train and predict one run (or go on with it)", "run", "sample", "tokens"
    )
    train.add_argument("--recipe", required=True, help="the recipe as JSON")
    train.add_argument("--groups", type=Path, default=None)
    train.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=float(os.environ.get("XMCBENCH_CHECKPOINT_SECONDS", "20")),
        help="time between checkpoints (default: XMCBENCH_CHECKPOINT_SECONDS, or 20)",
    )
    train.add_argument(
        "--loader-workers",
        type=int,
        default=os.environ.get("XMCBENCH_LOADER_WORKERS", "0"),
        help="threads that make batches ahead; changes no result (default: XMCBENCH_LOADER_WORKERS, or 0)",
    )
    train.set_defaults(leaves_reason=True)
    command("score", _score, "score a run's predictions", "run", "sample")
    for name, function, text in (
        ("collect", _collect, "collect a grid's runs into CSV"),
        ("tables", _tables, "write tables from CSV"),
        ("figures", _figures, "draw figures from CSV"),
        ("report", _report, "write the self-contained page from CSV, tables and figures"),
    ):
        sub = command(name, function, text)
        sub.add_argument("--source", default="run")
        sub.add_argument("--grid", default="quick")
        sub.add_argument("--results", type=Path, default=Path("results"))
        if name == "report":
            sub.add_argument("--out", type=Path, default=Path("results/report.html"))
            sub.add_argument("--partial", action="store_true", help="build everything from what is there")
    collect = command("kernels-collect", _kernels_collect, "collect the kernels' benchmarks", "json", "out")
    device = command("kernels-device", _kernels_device, "refuse where the benchmarks' device is missing")
    for sub in (collect, device):
        sub.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    figures = command("kernels-figures", _kernels_figures, "draw the kernels' figures from CSV")
    figures.add_argument("--results", type=Path, default=Path("results"))
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
    command("schemas", _schemas, "write the JSON schemas", "out")
    readme = command("readme", _readme, "rewrite the numbers of the README")
    readme.add_argument("--readme", type=Path, default=Path("README.md"))
    readme.add_argument("--reference", type=Path, default=Path("results/reference"))
    command("check", _check, "check the whole configuration")
    return parser
