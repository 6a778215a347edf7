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
    from xmcbench.data.sample import prepare
    from xmcbench.plan import Project

    manifest = prepare(_known(Project(parsed.config).datasets, parsed.dataset, "--dataset"), parsed.out)
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

    tokenise(parsed.sample, parsed.out, *parse_tokens_name(parsed.name))
    log.info("tokens written to %s", parsed.out)


def _group(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data import label_groups
    from xmcbench.data.store import PreparedStore
    from xmcbench.data.tokens import TokenStore

    store = PreparedStore.open(parsed.sample)
    split = store.split("train")
    if parsed.grouping == "random":
        group_L = label_groups.random_groups(store.labels, parsed.groups, parsed.seed)
    else:
        tokens = TokenStore.open(parsed.tokens)
        centroid_LV = label_groups.label_centroids(
            [split], [tokens.split("train")], store.labels, tokens.vocabulary
        )
        group_L = label_groups.balanced_groups(centroid_LV, parsed.groups, parsed.seed)
    label_groups.write_groups(parsed.out, group_L, [split], parsed.seed)
    log.info("%d labels in %d groups", store.labels, parsed.groups)


def _train(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.recipe import TrainRecipe, recipe_of

    recipe = recipe_of(json.loads(parsed.recipe))
    if isinstance(recipe, TrainRecipe):
        from xmcbench.training.run import train_run

        train_run(
            recipe, parsed.run, parsed.sample, parsed.tokens, parsed.groups, parsed.checkpoint_seconds, log
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


def _known(values: dict[str, T], name: str, key: str) -> T:
    from xmcbench.errors import ConfigError, allowed

    if name not in values:
        raise ConfigError(f"{key}: unknown value {name!r}; {allowed(values)}")
    return values[name]


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
    sample = command("sample", _sample, "take a budget's sample", "prepared", "out")
    sample.add_argument("--dataset", required=True)
    sample.add_argument("--budget", required=True)
    tokenise = command("tokenise", _tokenise, "tokenise a sample", "sample", "out")
    tokenise.add_argument("--name", required=True, help="tokenizer+length[+special]")
    group = command("group", _group, "group labels for the auxiliary objective", "sample", "tokens", "out")
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
    command("schemas", _schemas, "write the JSON schemas", "out")
    readme = command("readme", _readme, "rewrite the numbers of the README")
    readme.add_argument("--readme", type=Path, default=Path("README.md"))
    readme.add_argument("--reference", type=Path, default=Path("results/reference"))
    command("check", _check, "check the whole configuration")
    return parser
