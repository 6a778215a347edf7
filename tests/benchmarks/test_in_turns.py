"""Methods' epochs and predictions beside each other: `snakemake --cores all in_turns` makes a ledger of the grid `seconds`.

`snakemake --cores all results/collected/GRID_in_turns.csv` takes another; XMCBENCH_IN_TURNS is how the rule names it, and the
contest that it wants is this test's parameter.
"""

import gc
import os
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from xmcbench.plan import Project, Run
from xmcbench.planned_run import contests_of
from xmcbench.training.in_turns import InTurns

GRID = os.environ.get("XMCBENCH_IN_TURNS", "seconds")
#: Times that every method predicts.
PREDICTIONS = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    contests = contests_of(Project(Path("config")).runs(GRID))
    metafunc.parametrize("runs", contests.values(), ids=contests)


def test_in_turns(benchmark: BenchmarkFixture, runs: list[Run]) -> None:
    contest = InTurns(runs, Path())
    benchmark.pedantic(contest.epoch, rounds=contest.epochs)
    for _ in range(PREDICTIONS):
        contest.predict()
    benchmark.extra_info["in_turns"] = contest.rows()
    del contest
    gc.collect()
