"""A configuration to change, and hand-made results of the smoke grid, really collected."""

import shutil
from pathlib import Path

import pytest

from xmcbench.plan import Project, Run
from xmcbench.reporting.collect import collect_grid

from ..conftest import ROOT
from .finished_runs import finish


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the configuration."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    runs = Project(ROOT / "config").runs("smoke")
    for place, run in enumerate(runs):
        finish(tmp_path, run, 10.0 * place)
    return runs


@pytest.fixture
def results(tmp_path: Path, runs: list[Run]) -> Path:
    collect_grid(ROOT / "config", "smoke", "run", tmp_path / "results", partial=False)
    return tmp_path / "results"
