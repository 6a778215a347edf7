"""The test split decides nothing, and the linear reference gives the same bytes each time."""

import logging
import shutil
from pathlib import Path

import numpy as np

from xmcbench.plan import Run
from xmcbench.training.reference import reference_run
from xmcbench.training.run import train_run

from ..conftest import SmokeData


def train(run: Run, folder: Path, smoke: SmokeData, sample: Path) -> dict[str, bytes]:
    train_run(run.recipe, folder, sample, smoke.tokens, smoke.groups, 1e9, logging.getLogger("test"))
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "history.jsonl")}


def test_other_test_labels_change_neither_weights_nor_history(
    smoke: SmokeData, smoke_runs: dict[str, Run], tmp_path: Path
) -> None:
    run = smoke_runs["fixed_fan_in_set_aux"]
    other = tmp_path / "sample"
    shutil.copytree(smoke.sample, other)
    truth = np.load(other / "test_indices.npy")
    np.save(other / "test_indices.npy", np.zeros_like(truth))
    assert truth.any()
    assert train(run, tmp_path / "a", smoke, smoke.sample) == train(run, tmp_path / "b", smoke, other)


def test_linear_one_vs_rest_gives_the_same_bytes_each_time(
    smoke: SmokeData, smoke_runs: dict[str, Run], tmp_path: Path
) -> None:
    recipe = smoke_runs["linear_ovr"].recipe
    found = []
    for name in ("a", "b"):
        reference_run(recipe, tmp_path / name, smoke.sample, smoke.tokens, logging.getLogger("test"))
        found.append((tmp_path / name / "topk.npz").read_bytes())
    assert found[0] == found[1]
