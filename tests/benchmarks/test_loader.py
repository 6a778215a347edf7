"""The loader beside the usual one, and beside what training reads: `snakemake --cores all loader` makes a table.

The usual one: tokens and labels in an Arrow file, Hugging Face `datasets` over it, torch's DataLoader in this process.
It is given our lists of documents, so its shuffle and bucketing cost it nothing; ours are made anew every epoch.
"""

import gc
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from xmcbench.config_files import GridFile
from xmcbench.data.batches import Batches
from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.prepare import prepare
from xmcbench.data.sample import sample
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore, tokenise
from xmcbench.encoder.transformer import padded
from xmcbench.plan import Project
from xmcbench.positives import Positives
from xmcbench.recipe import TrainRecipe
from xmcbench.training.loop import Trainer
from xmcbench.training.network import Network

from .measure import Setting, compare

BUDGET, BATCH, SEED = "quick", 128, 1
NAMES = ("wordnet-33k", "debian-deps-42k")
ROUNDS = 5
#: Steps that a method takes before and while it is timed against the others; of the fastest, steps of a turn.
TRIAL, TURN = 40, 80


@dataclass(frozen=True)
class Data:
    name: str
    max_length: int
    store: PreparedStore
    plain: TokenStore
    special: TokenStore


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp(request.param)
    spec = project.datasets[request.param]
    prepare(spec, root / "prepared")
    sample(root / "prepared", spec, BUDGET, project.sample_rule(BUDGET), root / "sample")
    for special in (False, True):
        folder = root / f"tokens{special}"
        tokenise(root / "sample", folder, "packaged/minilm-l6", spec.max_length, special)
    stores = (TokenStore.open(root / f"tokens{special}") for special in (False, True))
    return Data(request.param, spec.max_length, PreparedStore.open(root / "sample"), *stores)


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    gc.collect()


def batches_of(data: Data, tokens: TokenStore, length_bucket: int) -> Batches:
    split = data.store.split("train")
    return Batches([split], [tokens.split("train")], BATCH, SEED, length_bucket)


def epochs_of(batches: Batches, pad_id: int | None) -> Callable[[], object]:
    """Return a call that makes every batch of the next epoch, padded if a pad id is given."""
    epochs = itertools.count()

    def epoch() -> object:
        first = next(epochs) * batches.steps_per_epoch
        for step in range(first, first + batches.steps_per_epoch):
            batch = batches.at(step)
            last = batch if pad_id is None else padded(batch.token_T, batch.offset_B, pad_id)
        return last

    return epoch


def usual_epoch(
    data: Data, tokens: TokenStore, batches: Batches, pad_id: int | None, form: str, folder: Path
) -> Callable[[], object]:
    """Return a call that loads the same documents in the same batches the usual way."""
    split, (flat, offsets) = data.store.split("train"), tokens.split("train")
    ids = [flat[a:b] for a, b in itertools.pairwise(offsets.tolist())]
    labels = [split.indices[a:b] for a, b in itertools.pairwise(split.indptr.tolist())]
    features = datasets.Features({name: datasets.List(datasets.Value("int32")) for name in ("ids", "labels")})
    made = datasets.Dataset.from_dict({"ids": ids, "labels": labels}, features=features)
    made.save_to_disk(str(folder))
    dataset = datasets.load_from_disk(str(folder)).with_format(form)
    rows = [batches.rows(step).tolist() for step in range(batches.steps_per_epoch)]

    def collate(examples: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor, Positives]:
        its_ids = [torch.as_tensor(e["ids"]) for e in examples]
        its_labels = [torch.as_tensor(e["labels"]) for e in examples]
        row_P = torch.repeat_interleave(torch.tensor([len(its) for its in its_labels]))
        positives = Positives(len(examples), row_P, torch.cat(its_labels))
        length_B = torch.tensor([len(its) for its in its_ids])
        if pad_id is None:
            return torch.cat(its_ids), length_B.cumsum(0) - length_B, positives
        token_BS = pad_sequence(its_ids, batch_first=True, padding_value=pad_id)
        return token_BS, torch.arange(token_BS.shape[1])[None] < length_B[:, None], positives

    loader: DataLoader[Any] = DataLoader(dataset, batch_sampler=rows, collate_fn=collate, num_workers=0)

    batch, same = batches.at(0), next(iter(loader))
    ours = (
        (batch.token_T, batch.offset_B) if pad_id is None else padded(batch.token_T, batch.offset_B, pad_id)
    )
    assert same[0].equal(ours[0]) and same[1].equal(ours[1]), "the peer must load what we load"
    assert same[2].label_P.equal(batch.positives.label_P) and same[2].row_P.equal(batch.positives.row_P)

    return lambda: deque(loader, maxlen=1)


def padding_share(batches: Batches) -> float:
    """Return which share of the padded tokens of an epoch is padding."""
    tokens = cells = 0
    for step in range(batches.steps_per_epoch):
        batch = batches.at(step)
        length_B = torch.diff(batch.offset_B, append=torch.tensor([batch.token_T.numel()]))
        tokens += batch.token_T.numel()
        cells += batch.documents * max(1, int(length_B.max()))
    return 1 - tokens / cells


@pytest.mark.parametrize(("form", "length_bucket"), [("flat", 0), ("padded", 0), ("padded", 32)])
def test_against_the_usual_loader(
    benchmark: BenchmarkFixture, data: Data, form: str, length_bucket: int, tmp_path: Path
) -> None:
    tokens = data.plain if form == "flat" else data.special
    pad_id = None if form == "flat" else tokens.pad_id
    batches = batches_of(data, tokens, length_bucket)
    peers = {
        f"datasets ({kind} format) + DataLoader": usual_epoch(
            data, tokens, batches, pad_id, kind, tmp_path / kind
        )
        for kind in ("torch", "numpy")
    }
    compare(
        benchmark,
        Setting(f"loader.{form}", data.store.labels, 0, BATCH),
        epochs_of(batches, pad_id),
        peers,
        ROUNDS,
        **columns(data, batches, padding_share(batches) if pad_id is not None else None),
    )


def columns(data: Data, batches: Batches, padding: float | None, **peer_documents: int) -> dict[str, Any]:
    return {
        "dataset": data.name,
        "budget": BUDGET,
        "batch_size": BATCH,
        "length_bucket": batches.length_bucket,
        "padding_share": padding,
        "documents": batches.documents,
        "peer_documents": peer_documents,
    }


def trainer_of(project: Project, method: str, data: Data) -> Trainer | None:
    """Return the trainer of a method; None for one that reads more than tokens, or tokens with another encoder."""
    cell = {"budget": BUDGET, "datasets": [data.name], "methods": [method], "seeds": [SEED]}
    project.grids["loader"] = GridFile.model_validate({"name": "loader", "cells": [cell]})
    recipe = project.runs("loader")[0].recipe
    if not isinstance(recipe, TrainRecipe) or recipe.auxiliary is not None or recipe.encoder.kind != "bag":
        return None
    torch.manual_seed(0)
    train = data.plain.split("train")
    network = Network(
        recipe,
        data.store.labels,
        data.plain.vocabulary,
        data.plain.pad_id,
        lambda: inverse_document_frequency([train], data.plain.vocabulary),
        None,
    )
    batches = Batches([data.store.split("train")], [train], recipe.training.batch_size, SEED)
    trainer = Trainer(recipe, network, batches, lambda _: [])
    network.train()
    return trainer


def test_against_the_fastest_training_step(benchmark: BenchmarkFixture, data: Data, project: Project) -> None:
    """A step gets faster while it learns (easy negatives are skipped), so the winner is timed near its end."""
    seconds: dict[str, float] = {}
    names = [name for name, method in project.methods.items() if method.runner == "train"]
    for name in names:
        trainer = trainer_of(project, name, data)
        if trainer is not None:
            steps(trainer, TRIAL)()
            seconds[name] = timed(steps(trainer, TRIAL))
    winner = min(seconds, key=lambda name: seconds[name])
    trainer = trainer_of(project, winner, data)
    assert trainer is not None
    steps(trainer, trainer.total - (ROUNDS + 1) * TURN)()
    logging.getLogger("xmcbench").info("fastest of %d methods: %s", len(seconds), winner)
    peer = f"training step of {winner}"
    documents = TURN * trainer.recipe.training.batch_size
    batches = batches_of(data, data.plain, 0)
    compare(
        benchmark,
        Setting("loader.flat", data.store.labels, 0, BATCH),
        epochs_of(batches, None),
        {peer: steps(trainer, TURN)},
        ROUNDS,
        **columns(data, batches, None, **{peer: documents}),
    )


def steps(trainer: Trainer, count: int) -> Callable[[], object]:
    """Return a call that takes the next steps; the batches of all that may follow are made before."""
    made = iter([trainer.batches.at(step) for step in range(trainer.step, trainer.total)])

    def take() -> object:
        for batch in itertools.islice(made, count):
            trainer.train_step(batch)
        return trainer.step

    return take


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
