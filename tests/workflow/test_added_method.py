"""A stranger's method: two files dropped into a copy of the project, nothing edited; it is tested, trained and shown."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ..conftest import ROOT

EXAMPLE = ROOT / "examples" / "add_a_method"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with an interpreter that imports the package from it, and the example's two files."""
    root = tmp_path_factory.mktemp("stranger")
    for name in ("src", "config", "workflow", "tests", "envs", "results/published"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    shutil.copy(EXAMPLE / "mach.yaml", root / "config" / "methods")
    shutil.copy(EXAMPLE / "hashed.py", root / "src" / "xmcbench" / "output")
    cell = {"budget": "smoke", "datasets": ["wordnet-33k"], "methods": ["dense_bottleneck", "mach"]}
    (root / "config" / "grids" / "mine.yaml").write_text(yaml.safe_dump({"cells": [cell]}))
    assert all(path.read_bytes() == content for path, content in before.items()), "a file was edited"

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    site = next((root / "venv").glob("lib/python*/site-packages"))
    # This interpreter's packages, but not its editable install of the project: the copy stands in front.
    (site / "copy.pth").write_text(f"{root / 'src'}\n{sysconfig.get_path('purelib')}\n")
    for script in ("xmcbench", "snakemake"):
        file = root / "venv" / "bin" / script
        file.write_text(f'#!/bin/sh\nexec "{root}/venv/bin/python" -m {script} "$@"\n')
        file.chmod(0o755)
    return root


def run(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(root / "venv" / "bin" / "python"), "-m", *arguments],
        cwd=root,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_it_keeps_the_contract(copy: Path) -> None:
    output = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "mach")
    assert " passed" in output and "failed" not in output


def test_it_trains_and_is_shown(copy: Path) -> None:
    run(copy, "snakemake", "--cores", "2", "--config", "grid=mine")
    main = pd.read_csv(copy / "results/tables/run/main.csv").set_index("method")
    assert main.loc["mach", "P@1"] > 1.0, "it learned nothing"
    assert "| MACH |" in (copy / "results/tables/run/main.md").read_text()
    assert "MACH" in (copy / "results/figures/run/accuracy_memory.svg").read_text()
    assert "MACH" in (copy / "results/report.html").read_text()


def test_the_readme_shows_these_files_word_for_word() -> None:
    readme = (ROOT / "README.md").read_text()
    for file in ("mach.yaml", "hashed.py"):
        text = (EXAMPLE / file).read_text()
        assert f"\n{text}```" in readme, f"README.md does not show examples/add_a_method/{file}"
    lines = sum(len((EXAMPLE / file).read_text().splitlines()) for file in ("mach.yaml", "hashed.py"))
    assert lines <= 60
