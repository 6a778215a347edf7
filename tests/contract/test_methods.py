"""What every method must do, asked of every method file found: a new YAML is tested without a new test."""

from pathlib import Path

import numpy as np
import pytest
import torch

from xmcbench.config_files import GridFile
from xmcbench.data.batches import Batches
from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore, tokenise
from xmcbench.output.layer import optimizer_bytes
from xmcbench.plan import Project, Run
from xmcbench.recipe import TrainRecipe
from xmcbench.training import checkpoint as checkpoints
from xmcbench.training.loop import Trainer
from xmcbench.training.network import Network
from xmcbench.training.run import read_groups, read_order

from ..conftest import ROOT, SmokeData

PROJECT = Project(ROOT / "config")
TRAINED = sorted(name for name, method in PROJECT.methods.items() if method.runner == "train")


def planned(method: str) -> Run:
    """Plan a method at the smoke budget, whether or not a grid names it."""
    cell = {"budget": "smoke", "datasets": ["wordnet-33k"], "methods": [method], "seeds": [1]}
    PROJECT.grids["contract"] = GridFile.model_validate({"name": "contract", "cells": [cell]})
    return PROJECT.runs("contract")[0]


@pytest.fixture(scope="module")
def token_folders(smoke: SmokeData, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    special = tmp_path_factory.mktemp("special")
    tokenise(smoke.sample, special, "packaged/minilm-l6", 32, True)
    return {False: smoke.tokens, True: special}


def documents_of(recipe: TrainRecipe) -> int:
    """Few documents for an encoder that takes a second for many."""
    return 32 if recipe.encoder.kind == "bag" else 8


def trainer_of(method: str, smoke: SmokeData, token_folders: dict[bool, Path]) -> Trainer:
    recipe = planned(method).recipe
    assert isinstance(recipe, TrainRecipe)
    # Few documents and a rewire at once: the contract is about behaviour, not accuracy.
    update: dict[str, object] = {
        "training": recipe.training.model_copy(update={"batch_size": documents_of(recipe), "epochs": 1})
    }
    if recipe.topology is not None:
        update["topology"] = recipe.topology.model_copy(update={"interval_steps": 2, "end_share": 1.0})
    recipe = recipe.model_copy(update=update)
    store = PreparedStore.open(smoke.sample)
    tokens = TokenStore.open(token_folders[recipe.encoder.kind != "bag"])
    train = tokens.split("train")
    batches = Batches([store.split("train")], [train], recipe.training.batch_size, seed=1)
    groups = read_groups(smoke.groups, store.labels) if recipe.auxiliary else None
    network = Network(
        recipe,
        store.labels,
        tokens.vocabulary,
        tokens.pad_id,
        lambda: inverse_document_frequency([train], tokens.vocabulary),
        groups,
        read_order(recipe, store, smoke.groups),
    )
    torch.use_deterministic_algorithms(True)
    trainer = Trainer(recipe, network, batches, lambda _: [])
    network.train()
    return trainer


@pytest.mark.parametrize("method", TRAINED)
def test_three_steps_on_a_batch_lower_its_loss(
    method: str, smoke: SmokeData, token_folders: dict[bool, Path]
) -> None:
    trainer = trainer_of(method, smoke, token_folders)
    trainer.network.dropout.p = 0.0
    trainer.warmup = 1
    batch = trainer.batches.at(0)

    def loss() -> float:
        with torch.no_grad():
            z_BL = trainer.network.output(trainer.network.features(batch.token_T, batch.offset_B))
        return float(trainer.loss.value_and_gradient(z_BL, batch.positives)[0])

    before = loss()
    for _ in range(3):
        trainer.train_step(batch)
    assert loss() < before


@pytest.mark.parametrize("method", TRAINED)
def test_topology_survives_rewiring(method: str, smoke: SmokeData, token_folders: dict[bool, Path]) -> None:
    trainer = trainer_of(method, smoke, token_folders)
    weights = trainer.network.output.effective_parameters()
    for step in range(4):
        trainer.train_step(trainer.batches.at(step))
        trainer.network.output.check_invariants()
    rewires = [row for row in trainer.history if row["kind"] == "rewire"]
    if trainer.recipe.topology is not None and trainer.recipe.topology.ablation is not None:
        # One fan-in for all labels that live: what cannot be shared out evenly is left over.
        assert 0 <= weights - trainer.network.output.effective_parameters() < trainer.network.output.labels
        assert [row["step"] for row in rewires] == [2, 4] and all(row["regrown"] > 0 for row in rewires)
        return
    assert trainer.network.output.effective_parameters() == weights
    assert [row["step"] for row in rewires] == ([2, 4] if trainer.topology is not None else [])
    assert all(row["pruned"] == row["regrown"] > 0 for row in rewires)


@pytest.mark.parametrize("method", TRAINED)
def test_a_restored_checkpoint_goes_on_to_the_same_bytes(
    method: str, smoke: SmokeData, token_folders: dict[bool, Path], tmp_path: Path
) -> None:
    import logging

    first = trainer_of(method, smoke, token_folders)
    for step in range(3):
        first.train_step(first.batches.at(step))
    checkpoints.save(tmp_path, first.recipe, first.checkpoint())
    for step in range(3, 5):
        first.train_step(first.batches.at(step))

    second = trainer_of(method, smoke, token_folders)
    found = checkpoints.load_latest(tmp_path, second.recipe, logging.getLogger("test"))
    assert found and found.step == 3
    second.restore(found)
    assert second.step == 3
    for step in range(3, 5):
        second.train_step(second.batches.at(step))
    ours, theirs = first.checkpoint(), second.checkpoint()
    assert ours.tensors.keys() == theirs.tensors.keys()
    different = [name for name in ours.tensors if not torch.equal(ours.tensors[name], theirs.tensors[name])]
    assert different == []
    assert checkpoints.history_text(ours.history) == checkpoints.history_text(theirs.history)


@pytest.mark.parametrize("method", TRAINED)
def test_declared_memory_is_what_the_tensors_hold(
    method: str, smoke: SmokeData, token_folders: dict[bool, Path]
) -> None:
    trainer = trainer_of(method, smoke, token_folders)
    output, optimizer = trainer.network.output, trainer.optimizers["output"]
    documents = documents_of(trainer.recipe)
    gradients: list[int] = []
    optimizer.register_step_pre_hook(
        lambda opt, *_: gradients.append(
            sum(p.grad.nbytes for group in opt.param_groups for p in group["params"] if p.grad is not None)
        )
    )
    trainer.train_step(trainer.batches.at(0))
    declared = output.memory(optimizer, batch=documents)
    assert declared["weight"] == sum(p.untyped_storage().nbytes() for p in output.parameters())
    if gradients:  # a layer that steps by autograd
        assert declared["gradient"] == gradients[0]
        # Scores and their gradient, or the one in the other's place.
        assert declared["scores"] in (documents * output.labels * 4, 2 * documents * output.labels * 4)
    else:  # a streaming layer: no parameter ever had a gradient, and nothing of size B×L is declared
        assert all(p.grad is None for p in output.parameters())
        assert declared.get("scores", 0) < 2 * documents * output.labels * 4
    assert declared["optimizer"] == optimizer_bytes(optimizer)
    assert bool(declared["optimizer"]) != (planned(method).recipe.output_optimizer.kind == "sgd")
    buffers = sum(b.untyped_storage().nbytes() for b in output.buffers())
    assert sum(declared.get(kind, 0) for kind in ("index", "mask", "buffer")) == buffers


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", TRAINED)
def test_measured_memory_is_what_was_declared(
    method: str, threads: int, smoke: SmokeData, token_folders: dict[bool, Path]
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        trainer = trainer_of(method, smoke, token_folders)
        for step in range(2):  # the second is measured, when there is optimiser state
            trainer.train_step(trainer.batches.at(step))
    finally:
        torch.set_num_threads(before)
    parts = ("intermediate", "auxiliary")
    declared = sum(v for kind, v in trainer.memory_bytes["declared"].items() if kind not in parts)
    assert sum(trainer.memory_bytes["measured"].values()) == pytest.approx(declared, rel=0.05)


@pytest.mark.parametrize("method", TRAINED)
def test_predictions_are_distinct_labels_in_falling_order(
    method: str, smoke: SmokeData, token_folders: dict[bool, Path]
) -> None:
    trainer = trainer_of(method, smoke, token_folders)
    trainer.network.eval()
    batch = trainer.batches.at(0)
    with torch.no_grad():
        x_BD = trainer.network.features(batch.token_T, batch.offset_B)
        score_Bk, label_Bk = trainer.network.output.top_k(x_BD, 5)
        z_BL = trainer.network.output(x_BD)
    assert bool((score_Bk.diff(dim=1) <= 0).all())
    assert all(len(set(row)) == 5 for row in label_Bk.tolist())
    truth = np.sort(z_BL.numpy(), axis=1)[:, ::-1][:, :5]
    np.testing.assert_array_equal(score_Bk.numpy(), truth)


def test_the_slice_has_its_methods() -> None:
    assert {
        "dense",
        "dense_bottleneck",
        "masked_set",
        "masked_fixed_fan_in_set",
        "fixed_fan_in_static",
        "fixed_fan_in_set",
        "fixed_fan_in_set_intermediate",
        "fixed_fan_in_set_aux",
    } <= set(TRAINED)


def test_equal_memory_methods_have_equal_weights() -> None:
    """Rank = fan-in: the bottleneck holds as many weights a label as fixed fan-in."""
    recipes = {m: planned(m).recipe for m in ("dense_bottleneck", "fixed_fan_in_set", "masked_set")}
    assert {r.output.rank or r.output.fan_in for r in recipes.values() if isinstance(r, TrainRecipe)} == {32}
