"""Does every run of the paper's grid run? Four steps, a rewire, a resume and an evaluation of each, on a CPU, on stand-ins.

Of a recipe these keys are changed, and nothing else: the encoder's weights (`stand_ins`), the device, the documents of a
micro-batch (8), the rewire interval (3 steps, so that one falls after the resume), the number of label groups (a hundredth,
like the labels), label texts (synthetic labels have none), and epochs (so few documents would take thousands).
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from xmcbench.data.dataset import DatasetSpec, SampleSpec
from xmcbench.data.prepare import prepare
from xmcbench.data.sample import sample
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore, tokenise
from xmcbench.data.training_documents import training_documents
from xmcbench.errors import XmcbenchError
from xmcbench.evaluation.precision import precision_at_k
from xmcbench.planned_run import Run
from xmcbench.recipe import TrainRecipe, canonical, merge, recipe_of
from xmcbench.training import checkpoint as checkpoints
from xmcbench.training.loop import Trainer
from xmcbench.training.predict import predict
from xmcbench.training.run import configure_torch, trainer_of
from xmcbench.training.stand_ins import SHARE, stand_in_data, stand_in_encoder, stand_in_groups

STEPS, RESUME_AFTER, INTERVAL, BATCH = 4, 2, 3, 8
COLUMNS = [
    "dataset",
    "method",
    "preset",
    "steps",
    "rewires",
    "resumed_equal",
    "P@1",
    "seconds",
    "status",
    "reason",
]
Row = dict[str, Any]


@dataclass
class StandIns:
    """What was made for the check, once for all runs that need it."""

    folder: Path
    specs: dict[str, DatasetSpec]
    stores: dict[str, Path] = field(default_factory=dict)
    encoders: dict[tuple[str, str], Path] = field(default_factory=dict)
    tokens: dict[tuple[str, str, int], Path] = field(default_factory=dict)

    def store(self, dataset: str) -> Path:
        """Return the sample of a data set's stand-in."""
        if dataset not in self.stores:
            spec, place = stand_in_data(self.specs[dataset]), self.folder / dataset
            prepare(spec, place / "prepared")
            sample(place / "prepared", spec, "full", SampleSpec(), place / "sample")
            self.stores[dataset] = place / "sample"
        return self.stores[dataset]

    def encoder(self, dataset: str, pretrained: str) -> Path:
        """Return the folder of an encoder's stand-in; a byte-level BPE is made from the data set's own texts."""
        key = (dataset, pretrained)
        if key not in self.encoders:
            split = PreparedStore.open(self.store(dataset)).split("train")
            stored = split.texts()
            texts = [stored[i] for i in range(split.documents)]
            name = f"{dataset}-{pretrained.replace('/', '--')}"
            self.encoders[key] = stand_in_encoder(pretrained, texts, self.folder / "encoders" / name)
        return self.encoders[key]

    def tokenised(self, dataset: str, encoder: Path, length: int) -> Path:
        """Return the tokens of a stand-in."""
        key = (dataset, str(encoder), length)
        if key not in self.tokens:
            self.tokens[key] = self.folder / dataset / f"tokens-{encoder.name}-{length}"
            tokenise(self.store(dataset), self.tokens[key], str(encoder), length, special=True)
        return self.tokens[key]


def small_recipe(recipe: TrainRecipe, encoder: Path) -> TrainRecipe:
    """Return a recipe of the paper with what the check changes, and nothing else."""
    changed: dict[str, Any] = {
        "encoder": {"pretrained": str(encoder)},
        "data": {"label_augmentation": False},
        "training": {"device": "cpu", "batch_size": BATCH, "epochs": 10, "log_every_steps": 1, "threads": 2},
    }
    if recipe.topology is not None:
        changed["topology"] = {"interval_steps": INTERVAL}
    if recipe.auxiliary is not None:
        changed["auxiliary"] = {"groups": max(2, recipe.auxiliary.groups // SHARE)}
    small = recipe_of(merge(recipe.model_dump(), changed))
    assert isinstance(small, TrainRecipe)
    return small


def check_run(run: Run, made: StandIns) -> Row:
    """Run one cell of the paper's grid on its stand-ins; return its row, with the reason if it failed."""
    began = time.perf_counter()
    row: Row = {"dataset": run.dataset, "method": run.method, "preset": run.budget, "steps": STEPS}
    assert isinstance(run.recipe, TrainRecipe)
    try:
        encoder = made.encoder(run.dataset, run.recipe.encoder.pretrained)
        recipe = small_recipe(run.recipe, encoder)
        store = PreparedStore.open(made.store(run.dataset))
        tokens = TokenStore.open(made.tokenised(run.dataset, encoder, recipe.data.max_length))
        configure_torch(recipe)
        row |= _four_steps(
            recipe, store, tokens, made.folder / "runs" / f"{run.budget}-{run.dataset}-{run.method}"
        )
        row["status"] = (
            "ok" if row["resumed_equal"] and row["rewires"] == (recipe.topology is not None) else "failed"
        )
        row["reason"] = "" if row["status"] == "ok" else "resume or rewire is not as it should be"
    except (XmcbenchError, RuntimeError, ValueError) as error:
        row |= {"status": "failed", "reason": str(error).splitlines()[0]}
    return {**row, "seconds": round(time.perf_counter() - began, 1)}


def check_all(runs: Sequence[Run], made: StandIns, log: logging.Logger) -> list[Row]:
    """Check every run; of runs whose recipes are equal but for their names the first stands for all."""
    rows: list[Row] = []
    seen: dict[str, Row] = {}
    for run in runs:
        alike = canonical(run.recipe.model_copy(update={"budget": "", "method": ""}))
        key = f"{run.dataset} {alike}"
        if key in seen:
            same = f"as {seen[key]['preset']}: the same recipe"
            row = {**seen[key], "method": run.method, "preset": run.budget, "seconds": 0.0, "reason": same}
        else:
            row = seen[key] = check_run(run, made)
        log.info("%s %s %s: %s %s", run.budget, run.dataset, run.method, row["status"], row["reason"])
        rows.append(row)
    return rows


def _four_steps(recipe: TrainRecipe, store: PreparedStore, tokens: TokenStore, folder: Path) -> Row:
    whole = _trainer(recipe, store, tokens)
    steps = whole.run()
    list(islice(steps, RESUME_AFTER))
    checkpoints.save(folder, recipe, whole.checkpoint())
    list(islice(steps, STEPS - RESUME_AFTER))
    steps.close()  # type: ignore[attr-defined]
    resumed = _trainer(recipe, store, tokens)
    found = checkpoints.load_latest(folder, recipe, logging.getLogger("xmcbench"))
    assert found is not None and found.step == RESUME_AFTER
    resumed.restore(found)
    again = resumed.run()
    list(islice(again, STEPS - RESUME_AFTER))
    again.close()  # type: ignore[attr-defined]
    checkpoints.retire(folder)
    mine, theirs = whole.network.state_dict(), resumed.network.state_dict()
    equal = mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
    test = store.split("test")
    top = predict(resumed.network, test, tokens.split("test"), min(5, store.labels), BATCH)
    return {
        "rewires": sum(line["kind"] == "rewire" for line in whole.history),
        "resumed_equal": equal and whole.history == resumed.history,
        "P@1": round(precision_at_k(top.label_Nk, test.indptr, test.indices, 1), 2),
    }


def _trainer(recipe: TrainRecipe, store: PreparedStore, tokens: TokenStore) -> Trainer:
    documents = training_documents(store, tokens, recipe.training.hold_out_validation, False)
    groups = stand_in_groups(recipe, store.labels)
    return trainer_of(recipe, store.labels, tokens, documents, groups, None, lambda _: [])
