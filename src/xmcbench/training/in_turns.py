"""How fast methods train and predict beside each other: whole trainings that take turns, some steps each.

Runs one after another meet a machine at different paces, and these differ by more than many methods do. Here every method
takes a few steps, then the next one does, so that all of them see the same hours. What a run learns is what it would
learn alone; only its clocks are kept.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.errors import ConfigError
from xmcbench.evaluation.rulers import predictions_to_store
from xmcbench.planned_run import Run, in_turns, row_of, train_recipe
from xmcbench.training.hardware import environment
from xmcbench.training.loop import Trainer
from xmcbench.training.predict import predict
from xmcbench.training.run import configure_torch, make_trainer, prepare_encoder

#: Turns of an epoch: a machine's pace holds for seconds, and a turn should fill the caches once, not all the time.
TURNS = 4


@dataclass
class _Contender:
    """A run, what trains it, and the predictions a second of each time it predicted."""

    run: Run
    trainer: Trainer
    store: PreparedStore
    tokens: TokenStore
    steps: Iterator[int]
    rates: list[float] = field(default_factory=list)


class InTurns:
    """Runs of one budget, data set and seed (`planned_run.contests_of`), to be trained in turns."""

    def __init__(self, runs: Sequence[Run], root: Path) -> None:
        """Load the data of every run and make its trainer; root: the folder that holds resources/.

        Raises ConfigError for a run that does not train, or has other threads, device or epochs than the first; DataError
        if data is missing.
        """
        _require_alike(runs)
        first = train_recipe(runs[0])
        configure_torch(first)
        self.epochs = first.training.epochs
        self._contenders = [_contender(run, root) for run in runs]

    def epoch(self) -> None:
        """Train every run for an epoch, a share of it at a time; which of them begins changes with every turn."""
        contenders = self._contenders
        for turn in range(TURNS):
            first = turn % len(contenders)
            for its in [*contenders[first:], *contenders[:first]]:
                _take(turn, its)

    def predict(self) -> None:
        """Let every run predict the documents that it is scored on."""
        for its in self._contenders:
            recipe = its.trainer.recipe
            asked = recipe.evaluation
            k = predictions_to_store(its.store, asked.k, asked.rulers, asked.split)
            split, tokens = its.store.split(asked.split), its.tokens.split(asked.split)
            found = predict(its.trainer.network, split, tokens, k, recipe.training.batch_size)
            its.rates.append(split.documents / found.seconds)

    def rows(self) -> list[dict[str, Any]]:
        """Return a ledger's rows: the median second of an epoch, and of the documents predicted in a second."""
        return [row for its in self._contenders for row in _rows(its)]


def _require_alike(runs: Sequence[Run]) -> None:
    first = train_recipe(runs[0]).training
    for run in runs:
        training = train_recipe(run).training
        for key in ("threads", "device", "epochs"):
            if (own := getattr(training, key)) != (allowed := getattr(first, key)):
                raise ConfigError(
                    f"{run.method}: training.{key} is {own}; allowed beside {runs[0].method}: {allowed}, so that they take turns"
                )


def _contender(run: Run, root: Path) -> _Contender:
    store = PreparedStore.open(root / run.sample_folder)
    tokens = TokenStore.open(root / run.tokens_folder)
    groups, order = (None if file is None else root / file for file in (run.groups_file, run.order_file))
    trainer = make_trainer(train_recipe(run), store, tokens, groups, order)
    trainer.validate = lambda _: []  # no clock counts it
    prepare_encoder(trainer, tokens)
    return _Contender(run, trainer, store, tokens, trainer.run())


def _take(turn: int, its: _Contender) -> None:
    trainer, an_epoch = its.trainer, its.trainer.batches.steps_per_epoch
    for _ in range(turn * an_epoch // TURNS, (turn + 1) * an_epoch // TURNS):
        next(its.steps)
    # What a GPU has still to do is this method's time, and not the next one's.
    began = time.perf_counter()
    trainer.meter.wait()
    trainer.clocks["running"] += time.perf_counter() - began


def _rows(its: _Contender) -> list[dict[str, Any]]:
    run, recipe, seconds = its.run, its.trainer.recipe, its.trainer.clocks["epoch_seconds"]
    shared = row_of(run, in_turns(run.budget), environment(recipe.training.device)["hardware"])
    rows: list[dict[str, Any]] = []
    if seconds:
        rows.append({"metric": "epoch_seconds", "split": "train", "value": median(seconds), "unit": "s"})
    if its.rates:
        rate = {"metric": "predict_documents_per_second", "value": median(its.rates), "unit": "1/s"}
        rows.append({**rate, "split": recipe.evaluation.split})
    return [{**shared, **row} for row in rows]
