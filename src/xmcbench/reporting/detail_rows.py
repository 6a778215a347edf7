"""What an experiment's ledger keeps of a run beside its end: bands, macro precision, and curves over its epochs."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

from xmcbench.atomic import read_json
from xmcbench.evaluation.bands import ALL

Row = dict[str, Any]

KS = (1, 3, 5)
#: Means over windows of this share of an epoch; a curve of every logged step would be hundreds of rows.
WINDOWS_AN_EPOCH = 2
#: Logged values of steps → whether the curve is kept by window (true) or by epoch.
CURVES = {
    "encoder_gradient_norm": True,
    "probe_gradient_norm": True,
    "probe_cosine": True,
    "zero_share": False,
}


def detail_rows(folder: Path) -> list[Row]:
    """Return the rows of a finished run's folder: metric, k, split, band, epoch, value, unit.

    `epoch` is how much of the training lies before a curve's point: 0.5 is the first half of the first epoch.
    """
    metrics = read_json(folder / "metrics.json")
    rows = [
        {"split": metrics["split"], **{c: r[c] for c in ("metric", "k", "band", "value", "unit")}}
        for r in metrics["records"]
        if r["ruler"] == ALL and _kept(r["metric"], r["k"], r["band"])
    ]
    if "first_hits" in metrics:  # older scores have none
        bits = {"metric": "first_hits", "k": 1, "value": metrics["first_hits"], "unit": ""}
        rows.append({**bits, "split": metrics["split"]})
    rows += _resources(read_json(folder / "recipe.json"))
    history = folder / "history.jsonl"
    if history.is_file():
        lines = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        rows += _validation(lines) + _curves(lines)
    return rows


def _kept(metric: str, k: int | None, band: str) -> bool:
    if k is None:
        return metric in {"labels", "scored_documents"} and band == ALL
    return k in KS and metric in ({"macro-P", "nDCG"} if band == ALL else {"P", "PSP"})


def _resources(recipe: Row) -> list[Row]:
    """Return the sparsity of the output layer, 1 − K/D, where a fan-in sets it."""
    if recipe["runner"] != "train" or recipe["output"]["fan_in"] is None:
        return []
    width = (recipe["intermediate"] or {}).get("width") or recipe["encoder"]["features"]
    value = 1 - recipe["output"]["fan_in"] / width
    return [{"metric": "sparsity", "k": "", "split": "", "value": value, "unit": "1"}]


def _validation(lines: list[Row]) -> list[Row]:
    return [
        {"k": r["k"], "metric": r["metric"], "split": "validation", "epoch": line["epoch"], "value": r["value"], "unit": "%"}
        for line in lines
        if line["kind"] == "epoch"
        for r in line["validation"]
        if r["k"] == 1
    ]  # fmt: skip


def _curves(lines: list[Row]) -> list[Row]:
    """Return means of what was logged at steps, over windows; steps of an epoch are the last epoch line's."""
    ends = [line for line in lines if line["kind"] == "epoch"]
    if not ends:
        return []
    steps_per_epoch = ends[0]["step"]
    rows = []
    for metric, fine in CURVES.items():
        windows = WINDOWS_AN_EPOCH if fine else 1
        found: dict[int, list[float]] = {}
        for line in lines:
            if line["kind"] == "step" and line.get(metric) is not None:
                window = (line["step"] - 1) * windows // steps_per_epoch
                found.setdefault(window, []).append(float(line[metric]))
        rows += [
            {
                "metric": metric,
                "k": "",
                "split": "train",
                "epoch": (window + 1) / windows,
                "value": mean(v),
                "unit": "1",
            }
            for window, v in sorted(found.items())
        ]
    return rows
