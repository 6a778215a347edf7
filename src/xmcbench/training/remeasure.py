"""The memory of recorded runs, measured anew: what a change of a layer's or a kernel's scratch asks for, and not of any result.

Bytes of a training step are known after its second one; accuracy and seconds stay as they were recorded.
"""

import gc
import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.errors import DataError, allowed
from xmcbench.planned_run import Run
from xmcbench.recipe import TrainRecipe, canonical
from xmcbench.reporting.collect import memory_records
from xmcbench.reporting.ledger import Row, name_of, name_of_run, read_recorded, recorded, replace_rows
from xmcbench.training.run import configure_torch, make_trainer

#: The layer declares its bytes in the first step; they are measured in the second, when optimiser state is there.
STEPS = 2


def step_memory(run: Run, recipe: TrainRecipe, root: Path) -> list[Row]:
    """Return the memory records of a run from its first steps on its own data; root: the folder that holds resources/.

    Raises DataError for data that are not prepared, and for a run of a single step.
    """
    configure_torch(recipe)
    store, tokens = PreparedStore.open(root / run.sample_folder), TokenStore.open(root / run.tokens_folder)
    groups, order = (root / name if name else None for name in (run.groups_file, run.order_file))
    trainer = make_trainer(recipe, store, tokens, groups, order)
    if trainer.total < STEPS:
        raise DataError(f"{run.folder}: {trainer.total} steps in all; allowed: {STEPS} or more")
    for _ in islice(trainer.run(), STEPS):
        pass
    return memory_records(trainer.memory_bytes["declared"], trainer.memory_bytes["measured"])


def remeasure(
    ledger: Path, runs: Sequence[Run], root: Path, hardware: str | None, log: logging.Logger
) -> int:
    """Replace the memory rows of every recorded run that trains on a CPU; return of how many runs they changed.

    hardware: rows of this machine alone (bytes depend a little on the instruction set). Runs that differ in their seed alone are
    measured once. The ledger is written once, at the end. Raises DataError if there is no such ledger, or nothing of that machine in it.
    """
    rows = read_recorded(ledger)
    machines = {row["hardware"] for row in rows if _is_memory(row)}
    if hardware is not None and hardware not in machines:
        raise DataError(f"{ledger}: no memory rows of {hardware!r}; {allowed(machines)}")
    there = {name_of(row) for row in rows if _is_memory(row) and hardware in (None, row["hardware"])}
    found: dict[str, list[Row]] = {}
    fresh: dict[tuple[str, ...], list[Row]] = {}
    for run in recorded(runs, rows):
        name, recipe = name_of_run(run), run.recipe
        if name not in there or not isinstance(recipe, TrainRecipe) or recipe.training.device != "cpu":
            continue
        key = f"{run.sample_folder} {canonical(recipe.model_copy(update={'seed': 0}))}"
        if key not in found:
            found[key] = step_memory(run, recipe, root)
            log.info("%s: %d bytes declared", run.folder, _declared(found[key]))
            gc.collect()
        fresh[name] = found[key]
    return replace_rows(ledger, rows, fresh, _is_memory)


def _is_memory(row: Row) -> bool:
    return str(row["metric"]).startswith(("memory_", "measured_"))


def _declared(records: list[Row]) -> int:
    return int(next(row["value"] for row in records if row["metric"] == "memory_classifier"))
