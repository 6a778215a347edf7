"""A small project, really built by Snakemake once a session; tests work on copies of it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ..conftest import ROOT, made_once

TINY = {
    "budgets/tiny.yaml": {
        "label": "tiny",
        "sample": {"salt": "xmc-v1-quick", "share": 0.02, "minimum_label_documents": 2},
        "recipe": {"training": {"epochs": 2, "log_every_steps": 2}},
    },
    "methods/one.yaml": {
        "extends": "fixed_fan_in_set_aux",
        "label": "One",
        "recipe": {
            "topology": {"interval_steps": 5},
            "auxiliary": {"groups": 16, "cutoff_epochs": 1},
        },
    },
    "methods/two.yaml": {"extends": "dense", "label": "Two", "order": 11},
    "grids/tiny.yaml": {
        "cells": [{"budget": "tiny", "datasets": ["wordnet-33k"], "methods": ["most_frequent", "one", "two"]}]
    },
}
#: Compared bytes: everything of a run that holds no clock.
STABLE = ("recipe.json", "model.safetensors", "history.jsonl", "topk.npz", "metrics.json")


@dataclass(frozen=True)
class Workflow:
    """A project folder of its own."""

    root: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run Snakemake; return everything it printed."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "XMCBENCH_CHECKPOINT_SECONDS": "0.2"},
            timeout=600,
        )
        assert done.returncode == expect, done.stdout[-4000:]
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return what a dry run would do: rule → number of jobs."""
        text = self.run("--dry-run", *arguments)
        table = re.search(r"^job +count\n-[- ]+\n(.*?)^total +\d+$", text, re.MULTILINE | re.DOTALL)
        if table is None:
            assert "Nothing to be done" in text, text[-2000:]
            return {}
        return {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}

    def write(self, name: str, content: object) -> None:
        (self.root / "config" / name).write_text(yaml.safe_dump(content))

    def folder(self, method: str) -> Path:
        return self.root / f"results/runs/tiny/wordnet-33k/{method}/seed1"

    def stable_bytes(self) -> dict[str, bytes]:
        files = [f for f in sorted((self.root / "results/runs").rglob("*")) if f.name in STABLE]
        return {str(f.relative_to(self.root)): f.read_bytes() for f in files}


def new_workflow(root: Path) -> Workflow:
    """Copy the project's workflow and configuration into a folder of its own."""
    for name in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "Snakefile", root / "Snakefile")
    return Workflow(root)


@pytest.fixture
def fresh(tmp_path: Path) -> Workflow:
    """The project as it is, nothing built."""
    return new_workflow(tmp_path / "project")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Three methods on a tiny sample, built by the workflow; not to be changed."""

    def build(folder: Path) -> None:
        workflow = new_workflow(folder)
        for name, content in TINY.items():
            workflow.write(name, content)
        workflow.write("config.yaml", {"grid": "tiny"})
        workflow.run("all")

    return Workflow(made_once(tmp_path_factory, "built", build))


@pytest.fixture
def built(original: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the built project (with Snakemake's records) that a test may change."""
    shutil.copytree(original.root, tmp_path / "project", symlinks=True)
    return Workflow(tmp_path / "project")
