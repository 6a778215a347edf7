"""Checkpoints: whole or absent, verified when read, never a workflow output (a killed job would lose them).

A checkpoint is a folder `checkpoints/step-00000120/` with state.safetensors (weights, indices, optimiser tensors),
history.jsonl and state.json (written last: recipe, step, optimiser scalars, clocks, and the SHA-256 of the others).
Random states and the loader's position are functions of (seed, step), so the step stands for both.
"""

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from xmcbench.atomic import sync_folder
from xmcbench.errors import CheckpointError
from xmcbench.recipe import TrainRecipe, canonical, changes, recipe_hash

KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: tensors by name, plain values, and the history so far."""

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    history: list[dict[str, Any]]


def save(run_folder: Path, recipe: TrainRecipe, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside the others, then rename it into place and drop all but the last two."""
    folder = run_folder / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{checkpoint.step:08d}"
    tmp = folder / f".step-{checkpoint.step:08d}.{os.getpid()}.tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir()
    save_file({k: v.detach().contiguous() for k, v in checkpoint.tensors.items()}, tmp / "state.safetensors")
    (tmp / "history.jsonl").write_text(history_text(checkpoint.history), encoding="utf-8")
    state = {
        "step": checkpoint.step,
        "recipe_hash": recipe_hash(recipe),
        "recipe": json.loads(canonical(recipe)),
        "values": checkpoint.values,
        "sha256": {name: _sha256(tmp / name) for name in ("state.safetensors", "history.jsonl")},
    }
    (tmp / "state.json").write_text(json.dumps(state, sort_keys=True), encoding="utf-8")
    for file in tmp.iterdir():
        with open(file, "rb+") as handle:
            os.fsync(handle.fileno())
    if final.exists():
        shutil.rmtree(final)
    os.rename(tmp, final)
    sync_folder(folder)
    for old in _finished(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def load_latest(run_folder: Path, recipe: TrainRecipe, log: logging.Logger) -> Checkpoint | None:
    """Return the newest checkpoint that is whole and of this recipe, or None to start from the beginning.

    Checkpoints of another recipe are moved aside with a message naming the keys that changed. A damaged one is
    passed over with a warning; if all are damaged, CheckpointError is raised and nothing is deleted.
    """
    folder = run_folder / "checkpoints"
    for rest in folder.glob(".*.tmp"):
        shutil.rmtree(rest, ignore_errors=True)
    candidates = _finished(folder)
    for candidate in reversed(candidates):
        try:
            state = json.loads((candidate / "state.json").read_text(encoding="utf-8"))
            for name, digest in state["sha256"].items():
                if _sha256(candidate / name) != digest:
                    raise ValueError(f"{name} does not have the recorded SHA-256")
        except (OSError, ValueError, KeyError) as error:
            log.warning("checkpoint %s is damaged (%s); trying the one before", candidate.name, error)
            continue
        if state["recipe_hash"] != recipe_hash(recipe):
            _move_aside(folder, state["recipe"], recipe, log)
            return None
        history = [json.loads(line) for line in (candidate / "history.jsonl").read_text().splitlines()]
        return Checkpoint(state["step"], load_file(candidate / "state.safetensors"), state["values"], history)
    if candidates:
        raise CheckpointError(
            f"{folder}: every checkpoint is damaged; remove the folder to train from the start"
        )
    return None


def retire(run_folder: Path) -> None:
    """Remove the checkpoints of a run whose results are in place."""
    shutil.rmtree(run_folder / "checkpoints", ignore_errors=True)


def optimizer_state(name: str, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimiser's state into named tensors and plain values."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for position, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            target: dict[str, Any] = tensors if isinstance(value, Tensor) else values
            target[f"optimizer.{name}.{position}.{key}"] = value
    return tensors, values


def restore_optimizer(
    name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], values: dict[str, Any]
) -> None:
    """Put back what `optimizer_state` took out; rates and decay come from the recipe."""
    state: dict[int, dict[str, Any]] = {}
    prefix = f"optimizer.{name}."
    for source in (tensors, values):
        for full, value in source.items():
            if full.startswith(prefix):
                position, key = full.removeprefix(prefix).split(".", 1)
                state.setdefault(int(position), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    # torch casts moments to their parameter's dtype; those of a bfloat16 weight are float32 and must stay so.
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for place, entries in state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                parameter = parameters[place]
                optimizer.state[parameter][key] = optimizer.state[parameter][key].to(value.dtype)
                optimizer.state[parameter][key].copy_(value)


def history_text(history: list[dict[str, Any]]) -> str:
    """Return history rows as JSON lines."""
    return "".join(json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in history)


def _finished(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.is_dir())


def _sha256(file: Path) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _move_aside(folder: Path, old: dict[str, Any], recipe: TrainRecipe, log: logging.Logger) -> None:
    new = json.loads(canonical(recipe))
    changed = sorted(changes(old, new))
    aside = folder.with_name(f"checkpoints.of-another-recipe.{os.getpid()}")
    os.rename(folder, aside)
    log.warning("checkpoints of another recipe moved to %s; changed: %s", aside.name, ", ".join(changed))
