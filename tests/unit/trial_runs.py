"""A grid of trials in a copy of the configuration, and a run of it that looks finished."""

import json
from pathlib import Path

import yaml

from xmcbench.plan import Project, Run


def grid(config: Path, **cell: object) -> list[Run]:
    values = {
        "budget": "smoke",
        "datasets": ["wordnet-33k"],
        "methods": ["dense", "fixed_fan_in_set"],
        **cell,
    }
    (config / "grids" / "trials.yaml").write_text(yaml.safe_dump({"cells": [values]}))
    return Project(config).runs("trials")


def trials(config: Path) -> list[Run]:
    rate = {"key": "output_optimizer.learning_rate", "low": 0.001, "high": 0.1}
    kind = {"key": "training.loss", "values": ["bce", "squared_hinge"]}
    return grid(config, trials=3, seeds=[901], search={"rate": rate, "kind": kind})


def finish(run: Run, root: Path, precision: float) -> None:
    folder = root / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    records = [
        {"metric": "P", "k": k, "band": "all", "ruler": "all", "value": precision / k, "unit": "%"}
        for k in (1, 3, 5)
    ]
    timing = {
        "memory_bytes": {"weight": 4},
        "parameters": {"classifier": 1, "encoder": 2},
        "peak_rss_bytes": 8,
        "train_seconds": 1.0,
        "epoch_seconds": [0.5],
        "predict_seconds": 0.0,
    }
    for name, content in (
        ("recipe", json.loads(run.canonical_recipe)),
        ("metrics", {"split": "validation", "records": records}),
        ("timing", timing),
        ("env", {"hardware": "a-machine"}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content))
