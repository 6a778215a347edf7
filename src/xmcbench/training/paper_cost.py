"""What a step of the paper's recipe costs on a GPU, at the real size: peak memory of tensors, seconds, and the same of a rewire.

Real are the label count, the encoder's architecture and depth, its precision and checkpointing, documents a step, tokens a
document (each as long as the recipe allows, which most real ones are not), labels a document, and every optimiser. Random
are weights, tokens and labels, so nothing is learned, and no data set is needed. Memory is the paper's own measure:
`torch.cuda.max_memory_allocated` (its appendix F).
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from xmcbench.data.batches import Batch, Batches
from xmcbench.data.dataset import DatasetSpec
from xmcbench.output.layer import GrowthBatch
from xmcbench.planned_run import COST_BUDGET, Run, row_of, train_recipe
from xmcbench.positives import Positives
from xmcbench.recipe import TrainRecipe
from xmcbench.training.device_meter import DeviceMeter
from xmcbench.training.hardware import environment
from xmcbench.training.loop import Trainer
from xmcbench.training.network import Network
from xmcbench.training.run import configure_torch
from xmcbench.training.stand_ins import random_encoder, stand_in_groups

#: The first steps make optimiser state and compile kernels, so they count for no clock; the peak counts from the second on.
WARM_UP, STEPS = 2, 5
Row = dict[str, Any]


@dataclass
class Encoders:
    """Random encoders that were made, once for all runs."""

    folder: Path
    made: dict[str, tuple[Path, int]] = field(default_factory=dict)

    def of(self, pretrained: str) -> tuple[Path, int]:
        """Return the folder of a full-size random encoder, and its vocabulary."""
        if pretrained not in self.made:
            self.made[pretrained] = random_encoder(pretrained, self.folder / pretrained.replace("/", "--"))
        return self.made[pretrained]


def cost_of_all(
    runs: Sequence[Run],
    specs: dict[str, DatasetSpec],
    encoders: Encoders,
    device: str,
    log: logging.Logger,
    keep: Callable[[list[Row]], None],
) -> None:
    """Measure every run; keep: called with the rows of each run, in a ledger's columns, as soon as they are there."""
    for run in runs:
        counts, published = specs[run.dataset].counts["full"], specs[run.dataset].published
        labels, labels_a_document = counts.labels or 0, published.labels_per_document or 5.0
        began = time.perf_counter()
        try:
            found = cost_of(run, labels, labels_a_document, encoders, device)
        except torch.OutOfMemoryError as error:
            found = [_row("out_of_memory", 1, "1")]
            log.warning("%s %s: %s", run.dataset, run.method, str(error).splitlines()[0])
        shared = row_of(run, COST_BUDGET, environment(device)["hardware"])
        keep([shared | row for row in found])
        told = ", ".join(f"{row['metric']} {row['value']:.4g} {row['unit']}" for row in found[:4])
        log.info("%s %s: %s (%.0f s)", run.dataset, run.method, told, time.perf_counter() - began)
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def cost_of(run: Run, labels: int, labels_a_document: float, encoders: Encoders, device: str) -> list[Row]:
    """Return the rows of one run: metric, value, unit. Peaks are missing on a CPU, which has no such number."""
    planned = train_recipe(run)
    encoder, vocabulary = encoders.of(planned.encoder.pretrained)
    changed = {"pretrained": str(encoder)}
    recipe = planned.model_copy(
        update={
            "encoder": planned.encoder.model_copy(update=changed),
            "training": planned.training.model_copy(update={"device": device}),
        }
    )
    configure_torch(recipe)
    trainer = _trainer(recipe, labels, vocabulary, device)
    batches = [_batch(recipe, labels, labels_a_document, vocabulary, seed) for seed in range(WARM_UP + STEPS)]
    meter, seconds = DeviceMeter(torch.device(device)), []
    trainer.network.train()
    for number, batch in enumerate(batches):
        if number == 1:
            meter.start()
        meter.wait()
        began = time.perf_counter()
        trainer.train_step(batch)
        meter.wait()
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    rows = [_row("step_seconds", median(seconds), "s")]
    rows += [_row(f"memory_{k}", v, "B") for k, v in sorted(trainer.memory_bytes["declared"].items())]
    rows.append(_row("memory_classifier", sum(trainer.memory_bytes["declared"].values()), "B"))
    rows += [_row(f"measured_{k}", v, "B") for k, v in sorted(trainer.memory_bytes["measured"].items())]
    if (peak := meter.peak_bytes()) is not None:
        rows.insert(0, _row("peak_device", peak, "B"))
    return rows + _rewire(trainer, batches[-1], meter)


def _rewire(trainer: Trainer, batch: Batch, meter: DeviceMeter) -> list[Row]:
    """Return what the second rewire costs beside a step: the first one compiles and loads."""
    if trainer.topology is None:
        return []
    batch = batch.to(trainer.device)
    x_BD = torch.randn(batch.documents, trainer.network.output.features, device=trainer.device)
    for step in (1, 2):
        meter.start()
        began = time.perf_counter()
        seen = GrowthBatch(x_BD, batch.positives, trainer.loss)
        trainer.network.output.rewire(trainer.topology, step, trainer.optimizers["output"], seen)
        meter.wait()
        seconds = time.perf_counter() - began
    rows = [_row("rewire_seconds", seconds, "s")]
    if (peak := meter.peak_bytes()) is not None:
        rows.append(_row("rewire_peak_device", peak, "B"))
    return rows


def _trainer(recipe: TrainRecipe, labels: int, vocabulary: int, device: str) -> Trainer:
    group_L = stand_in_groups(recipe, labels)
    network = Network(
        recipe, labels, vocabulary, 0, lambda: np.ones(vocabulary), group_L, drawn_on=device
    ).to(device)
    return Trainer(recipe, network, _Endless(), lambda _: [])


class _Endless(Batches):
    """Batches of which none is asked for: the steps are given theirs. An epoch is long, so that no step ends one."""

    def __init__(self) -> None:
        self.steps_per_epoch = 1_000_000


def _batch(recipe: TrainRecipe, labels: int, labels_a_document: float, vocabulary: int, seed: int) -> Batch:
    """Return a batch of random documents, all of the recipe's greatest length, with as many distinct labels each."""
    generator = torch.Generator().manual_seed(seed)
    documents = recipe.training.batch_size * recipe.training.accumulation
    length, count = recipe.data.max_length, min(labels, max(1, round(labels_a_document)))
    # From 1 on: 0 is the padding of some encoders.
    token_T = torch.randint(1, vocabulary, (documents * length,), generator=generator)
    # A draw for each of `count` equal parts of the labels: distinct, and rising within a document.
    part = labels // count
    draw_BC = torch.randint(part, (documents, count), generator=generator) + torch.arange(count) * part
    row_P = torch.arange(documents).repeat_interleave(count)
    positives = Positives(documents, row_P, draw_BC.flatten())
    return Batch(token_T, torch.arange(documents) * length, positives, documents)


def _row(metric: str, value: float, unit: str) -> Row:
    return {"metric": metric, "split": "train", "value": value, "unit": unit}
