"""A grid of trials in a copy of the configuration, and a run of it that looks finished."""

from pathlib import Path

import yaml

from xmcbench.atomic import write_json
from xmcbench.plan import Project, Run

from . import finished_runs


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
    """Write what a finished trial leaves: validation documents alone, with P@k of `precision` / k."""
    finished_runs.finish(root, run, precision)
    records = [
        {"metric": "P", "k": k, "band": "all", "ruler": "all", "value": precision / k, "unit": "%"}
        for k in (1, 3, 5)
    ]
    write_json(root / run.folder / "metrics.json", {"split": "validation", "records": records})
