"""Runs → tidy CSV: the last step that reads run folders."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from xmcbench.atomic import read_json, write_text
from xmcbench.errors import DataError
from xmcbench.method import Method
from xmcbench.plan import Project, Run

COLUMNS = [
    "dataset",
    "method",
    "seed",
    "budget",
    "metric",
    "k",
    "band",
    "ruler",
    "split",
    "value",
    "unit",
    "status",
    "hardware",
]
HISTORY_COLUMNS = ["dataset", "method", "seed", "budget", "step", "epoch", "metric", "k", "split", "value"]
#: Files of a partial build are dated here, so that the workflow's next run makes them anew.
LONG_AGO = 315_532_800  # 1980-01-01

#: The budget under which the statistics of a whole prepared data set stand (no budget can be called so).
WHOLE = "(whole)"

#: What a scored run has, with a training engine or without.
RUN_FILES = ("recipe.json", "metrics.json", "timing.json", "env.json")

Row = dict[str, Any]


@dataclass
class Collection:
    """The rows of every CSV."""

    run: list[Row]
    history: list[Row]
    datasets: list[Row]
    environment: list[Row]
    failures: list[Row]
    groups: list[Row]


def collect_grid(config: Path, grid: str, source: str, results: Path, partial: bool) -> Collection:
    """Collect a grid's runs into results/collected/{source}*.csv.

    partial: a run without metrics gives a `failed` row and its reason; otherwise it raises DataError.
    """
    project = Project(config)
    runs = project.runs(grid)
    root = results.parent
    found = Collection([], [], [], [], [], [])
    for run in runs:
        _collect_run(run, root, found, partial)
    for budget, dataset, folder in sorted({(r.sample_budget, r.dataset, r.sample_folder) for r in runs}):
        manifest = root / folder / "manifest.json"
        if manifest.is_file():
            found.datasets += _dataset_rows(budget, dataset, read_json(manifest))
    for dataset in sorted({run.dataset for run in runs}):
        manifest = root / "resources" / "prepared" / dataset / "manifest.json"
        if manifest.is_file():
            found.datasets += _dataset_rows(WHOLE, dataset, read_json(manifest))
    found.groups = _group_rows(runs, root)
    methods = [_method_row(run, project.methods[run.base_method]) for run in _first_of_each(runs)]
    base = results / "collected" / source
    files = {
        "": (COLUMNS, found.run),
        "_history": (HISTORY_COLUMNS, found.history),
        "_methods": (["method", "label", "group", "order", "citation"], methods),
        "_datasets": (["dataset", "budget", "statistic", "value"], found.datasets),
        "_environment": (["hardware", "key", "value"], _distinct(found.environment)),
        "_failures": (["dataset", "method", "seed", "budget", "reason"], found.failures),
        "_groups": (["dataset", "budget", "grouping", "statistic", "value"], found.groups),
    }
    for part, (columns, rows) in files.items():
        path = base.with_name(f"{source}{part}.csv")
        write_text(path, csv_text(columns, rows))
        if partial:
            os.utime(path, (LONG_AGO, LONG_AGO))
    return found


def csv_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return CSV; floats in the shortest form that reads back the same, absent values empty, integers as integers."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _collect_run(run: Run, root: Path, found: Collection, partial: bool) -> None:
    folder = root / run.folder
    identity = {"dataset": run.dataset, "method": run.method, "seed": run.seed, "budget": run.budget}
    reason = _unfinished(folder, run)
    if reason is not None:
        if not partial:
            raise DataError(f"{folder}: {reason}")
        found.failures.append({**identity, "reason": reason})
        found.run.append({**identity, "split": "test", "status": "failed"})
        return
    environment = read_json(folder / "env.json")
    hardware = environment["hardware"]
    metrics = read_json(folder / "metrics.json")
    constant = {**identity, "status": "ok", "hardware": hardware}
    found.run += [{**constant, "split": metrics["split"], **record} for record in metrics["records"]]
    found.run += [{**constant, **record} for record in resource_records(read_json(folder / "timing.json"))]
    found.environment += [
        {"hardware": hardware, "key": key, "value": value}
        for key, value in environment.items()
        if key not in {"hardware", "finished"}
    ]
    history = folder / "history.jsonl"
    if history.is_file():
        for line in history.read_text(encoding="utf-8").splitlines():
            found.history += [{**identity, **record} for record in _history_records(json.loads(line))]


def _unfinished(folder: Path, run: Run) -> str | None:
    """Say why a run's results cannot be shown; None if they can. An older recipe's metrics are not this run's."""
    if (folder / "failed.json").is_file():
        return str(read_json(folder / "failed.json")["reason"])
    missing = [name for name in RUN_FILES if not (folder / name).is_file()]
    if missing:
        return f"did not finish ({', '.join(missing)} missing)"
    if read_json(folder / "recipe.json") != json.loads(run.canonical_recipe):
        return "did not finish (what is there was made with another recipe)"
    return None


def resource_records(timing: dict[str, Any]) -> list[Row]:
    """Return the records of a run's timing.json: parameters, memory by kind, seconds; `peak_device` of a run on a GPU.

    A run beside other work (XMCBENCH_SHARED_MACHINE=1) has no seconds.
    """
    memory = timing["memory_bytes"]
    records: list[Row] = [
        {"metric": "parameters", "split": "train", "value": timing["parameters"]["classifier"], "unit": "1"},
        {
            "metric": "encoder_parameters",
            "split": "train",
            "value": timing["parameters"]["encoder"],
            "unit": "1",
        },
        *memory_records(memory, timing.get("measured_output_bytes", {})),
        {"metric": "peak_rss", "split": "train", "value": timing["peak_rss_bytes"], "unit": "B"},
    ]
    if "peak_device_bytes" in timing:
        peak = timing["peak_device_bytes"]
        records.append({"metric": "peak_device", "split": "train", "value": peak, "unit": "B"})
    if timing.get("shared_machine"):
        return records
    records.append(
        {"metric": "train_seconds", "split": "train", "value": timing["train_seconds"], "unit": "s"}
    )
    if timing["epoch_seconds"]:
        seconds = median(timing["epoch_seconds"])
        records.append({"metric": "epoch_seconds", "split": "train", "value": seconds, "unit": "s"})
    if timing["predict_seconds"] > 0:
        rate = timing["predict_documents"] / timing["predict_seconds"]
        records.append(
            {"metric": "predict_documents_per_second", "split": "test", "value": rate, "unit": "1/s"}
        )
    return records


def memory_records(declared: dict[str, int], measured: dict[str, int]) -> list[Row]:
    """Return the records of a step's bytes by kind: as the output layer declares them, their sum, and as they were measured."""

    def record(metric: str, value: int) -> Row:
        return {"metric": metric, "split": "train", "value": value, "unit": "B"}

    return [
        *(record(f"memory_{k}", v) for k, v in sorted(declared.items())),
        record("memory_classifier", sum(declared.values())),
        *(record(f"measured_{k}", v) for k, v in sorted(measured.items())),
    ]


def _history_records(row: dict[str, Any]) -> list[Row]:
    place = {"step": row["step"], "epoch": row["epoch"]}
    if row["kind"] == "epoch":
        scores = [{**place, "split": "validation", **record} for record in row["validation"]]
        return [{**place, "metric": "epoch_loss", "split": "train", "value": row["loss"]}, *scores]
    values = {k: v for k, v in row.items() if k not in {"kind", "step", "epoch"} and v is not None}
    return [{**place, "metric": k, "split": "train", "value": v} for k, v in sorted(values.items())]


def _dataset_rows(budget: str, dataset: str, manifest: dict[str, Any]) -> list[Row]:
    statistics: dict[str, Any] = {
        f"documents, {name}": count for name, count in manifest["documents"].items()
    }
    statistics |= {"labels": manifest["labels"]}
    statistics |= {f"pairs, {name}": count for name, count in manifest["pairs"].items()}
    statistics |= {k: int(v) if float(v).is_integer() else v for k, v in manifest["statistics"].items()}
    return [{"dataset": dataset, "budget": budget, "statistic": k, "value": v} for k, v in statistics.items()]


def _group_rows(runs: Sequence[Run], root: Path) -> list[Row]:
    """Return the statistics of every partition of labels that a run used, each partition once."""
    rows: list[Row] = []
    used = {r.groups_file: r for r in runs}
    for file, run in used.items():
        statistics = (root / file).with_suffix(".json") if file is not None else None
        if statistics is not None and statistics.is_file():
            identity = {"dataset": run.dataset, "budget": run.sample_budget, "grouping": statistics.stem}
            rows += [{**identity, "statistic": k, "value": v} for k, v in read_json(statistics).items()]
    return rows


def _method_row(run: Run, method: Method) -> Row:
    # A swept value is part of what a reader must see.
    suffix = run.method.removeprefix(run.base_method).removeprefix("@").replace(",", ", ")
    label = f"{method.label} ({suffix})" if suffix else method.label
    shown = {"label": label, "group": method.group, "order": method.order, "citation": method.citation}
    return {"method": run.method, **shown}


def _first_of_each(runs: Sequence[Run]) -> list[Run]:
    return list({run.method: run for run in reversed(runs)}.values())[::-1]


def _distinct(rows: list[Row]) -> list[Row]:
    return list({tuple(row.values()): row for row in rows}.values())
