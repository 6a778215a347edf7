"""A run from recipe to files: lock, resume, train, predict, publish."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from xmcbench.atomic import replacing, write_json, write_text
from xmcbench.data.batches import Batches
from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.label_order import order_of
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.data.training_documents import TrainingDocuments, training_documents
from xmcbench.errors import DataError, DeviceError, Interrupted
from xmcbench.evaluation.rulers import predictions_to_store
from xmcbench.output.head_tail import head_labels
from xmcbench.recipe import TrainRecipe, canonical
from xmcbench.training import checkpoint as checkpoints
from xmcbench.training.hardware import environment, shares_machine
from xmcbench.training.lock import run_lock
from xmcbench.training.loop import Trainer, Validate
from xmcbench.training.network import Network
from xmcbench.training.predict import predict, write_topk
from xmcbench.training.stop import StopRequest, stop_requests
from xmcbench.training.validation import validation


def train_run(
    recipe: TrainRecipe,
    run_folder: Path,
    sample_folder: Path,
    tokens_folder: Path,
    groups_file: Path | None,
    checkpoint_seconds: float,
    log: logging.Logger,
    loader_workers: int = 0,
    order_file: Path | None = None,
) -> None:
    """Train (or go on training) a recipe, predict the test split, and write the run's files.

    checkpoint_seconds: time between checkpoints. loader_workers: threads that make batches ahead. Neither changes a
    result. Raises RunLockedError, DeviceError, ConfigError, DataError, NonFiniteError, CheckpointError, and
    Interrupted once a requested stop has saved.
    """
    with run_lock(run_folder), stop_requests() as stop:
        configure_torch(recipe)
        store, tokens = PreparedStore.open(sample_folder), TokenStore.open(tokens_folder)
        # Before any training: a ruler that does not fit the data set must not cost a run.
        asked = recipe.evaluation
        k = predictions_to_store(store, asked.k, asked.rulers, asked.split)
        trainer = make_trainer(recipe, store, tokens, groups_file, order_file, loader_workers)
        found = checkpoints.load_latest(run_folder, recipe, log)
        if found is not None:
            trainer.restore(found)
            log.info("going on after step %d of %d", trainer.step, trainer.total)
        # Seconds that other work took part of, also before a stop, stay in the sums.
        trainer.clocks["shared_machine"] = trainer.clocks.get("shared_machine", False) or shares_machine()
        prepare_encoder(trainer, tokens, _refuse_if(stop))
        _train(trainer, run_folder, checkpoint_seconds, stop, log)
        trainer.checkpoint()  # reads the clocks and the peak of training, before prediction adds to them
        _publish(trainer, store, tokens, k, run_folder, stop, log)


def make_trainer(
    recipe: TrainRecipe,
    store: PreparedStore,
    tokens: TokenStore,
    groups_file: Path | None,
    order_file: Path | None,
    loader_workers: int = 0,
) -> Trainer:
    """Return what trains a recipe on a prepared data set, before its first step; raises ConfigError and DataError."""
    documents = training_documents(
        store, tokens, recipe.training.hold_out_validation, recipe.data.label_augmentation
    )
    groups, order = read_groups(groups_file, store.labels), read_order(recipe, store, order_file)
    validate = validation(recipe, store, tokens.split("validation"))
    return trainer_of(recipe, store.labels, tokens, documents, groups, order, validate, loader_workers)


def trainer_of(
    recipe: TrainRecipe,
    labels: int,
    tokens: TokenStore,
    documents: TrainingDocuments,
    group_L: torch.Tensor | None,
    order_L: torch.Tensor | None,
    validate: Validate,
    loader_workers: int = 0,
) -> Trainer:
    """Return what trains a recipe on documents; group_L: label → group, order_L: the label at each place of the output layer."""
    batches = Batches(
        documents.splits,
        documents.tokens,
        recipe.training.batch_size * recipe.training.accumulation,
        recipe.seed,
        recipe.data.length_bucket,
    )
    network = Network(
        recipe,
        labels,
        tokens.vocabulary,
        tokens.pad_id,
        lambda: inverse_document_frequency(documents.tokens, tokens.vocabulary),
        group_L,
        order_L,
    ).to(recipe.training.device)
    return Trainer(recipe, network, batches, validate, loader_workers)


def configure_torch(recipe: TrainRecipe) -> None:
    """Fix what changes bits: thread count and deterministic algorithms; refuse a device that is not there."""
    if recipe.training.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("training.device: cuda was asked for, but this machine has none; allowed: cpu")
    # MKL's vector functions set themselves up at their first call. If that call comes from several threads at once, one
    # of them sometimes computes its part at a lower accuracy (seen in SparseAdam's first square root: 12 bits, in 4 of
    # 96 processes). So the first call is made here, by one thread.
    torch.set_num_threads(1)
    for function in (torch.sqrt, torch.exp, torch.log, torch.log1p, torch.expm1, torch.tanh, torch.erf):
        function(torch.full((64,), 0.5))
    torch.set_num_threads(recipe.training.threads)
    torch.use_deterministic_algorithms(True)
    if recipe.training.device == "cuda":
        # Told to be deterministic, torch fills every new tensor with NaN: a launch more for each, and no bit of a result.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def read_groups(file: Path | None, labels: int) -> torch.Tensor | None:
    """Read label → group; raises DataError if it is not one group for every label."""
    if file is None:
        return None
    if not file.is_file():
        raise DataError(f"{file}: missing; the recipe needs the label groups")
    group_L = np.load(file)
    if group_L.shape != (labels,) or group_L.min() < 0:
        raise DataError(
            f"{file}: {group_L.shape[0]} groups assigned; allowed: one group ≥ 0 for each of {labels} labels"
        )
    return torch.from_numpy(group_L.astype(np.int64))


def read_order(recipe: TrainRecipe, store: PreparedStore, file: Path | None) -> torch.Tensor | None:
    """Return the label at each place of the output layer, or None for their own order; file: the groups it needs.

    Raises DataError as `read_groups` does, and ConfigError if the recipe needs groups and none are given.
    """
    output = recipe.output
    if output.label_order is None:
        return None
    group_L = read_groups(file, store.labels)
    head = head_labels(store.labels, output) if output.head_share else 0
    groups = None if group_L is None else group_L.numpy()
    return torch.from_numpy(order_of(output.label_order, store.label_counts("train"), groups, head))


def prepare_encoder(trainer: Trainer, tokens: TokenStore, alive: Callable[[], None] | None = None) -> None:
    """Let the encoder compute ahead: always training, then validation, then (before it is predicted) test documents.

    What a frozen encoder computes together are the documents of a split that were in none before, so that a run which goes on,
    even one that has only to predict, must ask in this order too. alive: called now and then (may raise).
    """
    trainer.prepare(alive)
    trainer.network.encoder.prepare([tokens.split("validation")], trainer.device, alive)


def _refuse_if(stop: StopRequest) -> Callable[[], None]:
    def alive() -> None:
        if stop:
            raise Interrupted(f"{stop.signal}: no step was taken since the last save; run again to go on")

    return alive


def _train(
    trainer: Trainer, run_folder: Path, checkpoint_seconds: float, stop: StopRequest, log: logging.Logger
) -> None:
    recipe = trainer.recipe
    saved_at, saved_step = time.monotonic(), trainer.step
    name = f"{recipe.method} seed{recipe.seed}"
    with tqdm(total=trainer.total, initial=trainer.step, desc=name, unit="step", mininterval=1.0) as bar:
        for step in trainer.run():
            bar.update(1)
            if (
                trainer.history
                and trainer.history[-1].get("kind") == "epoch"
                and trainer.history[-1]["step"] == step
            ):
                log.info("%s", _epoch_line(trainer.history[-1], recipe.training.epochs))
            if stop or (time.monotonic() - saved_at >= checkpoint_seconds and step < trainer.total):
                checkpoints.save(run_folder, recipe, trainer.checkpoint())
                saved_at, saved_step = time.monotonic(), step
            if stop:
                raise Interrupted(
                    f"{stop.signal}: saved after step {step} of {trainer.total}; run again to go on"
                )
    if saved_step < trainer.total:
        # A run that is killed while it predicts or publishes need not train again.
        checkpoints.save(run_folder, recipe, trainer.checkpoint())


def _publish(
    trainer: Trainer,
    store: PreparedStore,
    tokens: TokenStore,
    k: int,
    run_folder: Path,
    stop: StopRequest,
    log: logging.Logger,
) -> None:
    """Predict k labels of each document to score (test texts and truth are opened only now), write the run, clocks last."""
    recipe, network = trainer.recipe, trainer.network

    def alive() -> None:
        if stop:
            raise Interrupted(f"{stop.signal}: training is saved; run again to predict")

    predictions = predict(
        network,
        store.split(recipe.evaluation.split),
        tokens.split(recipe.evaluation.split),
        k,
        recipe.training.batch_size,
        alive,
    )
    write_json(run_folder / "recipe.json", json.loads(canonical(recipe)))
    with replacing(run_folder / "model.safetensors") as tmp:
        save_file({k: v.detach().contiguous() for k, v in network.state_dict().items()}, tmp)
    write_text(run_folder / "history.jsonl", checkpoints.history_text(trainer.history))
    write_topk(run_folder / "topk.npz", predictions.label_Nk, predictions.score_Nk)
    write_json(run_folder / "env.json", environment(recipe.training.device))
    timing = {
        "epoch_seconds": trainer.clocks["epoch_seconds"],
        "train_seconds": sum(trainer.clocks["epoch_seconds"]),
        "predict_seconds": predictions.seconds,
        "predict_documents": int(predictions.label_Nk.shape[0]),
        "peak_rss_bytes": trainer.clocks["peak_rss_bytes"],
        "memory_bytes": trainer.memory_bytes["declared"],
        "measured_output_bytes": trainer.memory_bytes.get("measured", {}),
        "parameters": network.parameter_counts(),
    }
    if trainer.clocks["shared_machine"]:
        timing["shared_machine"] = True
    if "peak_device_bytes" in trainer.clocks:  # on a GPU alone
        timing["peak_device_bytes"] = trainer.clocks["peak_device_bytes"]
    write_json(run_folder / "timing.json", timing)
    log.info("%d documents predicted, run complete", predictions.label_Nk.shape[0])


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    scores = "  ".join(
        f"{r['metric']}@{r['k']} {r['value']:.2f}" for r in row["validation"] if r["metric"] == "P"
    )
    return f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}  {scores}".rstrip()
