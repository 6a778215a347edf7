"""A stranger's method, and a program of others: files dropped into a copy of the project, nothing edited; tested, run, shown."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ..conftest import ROOT

EXAMPLE = ROOT / "examples" / "add_a_method"
PROGRAM = ROOT / "examples" / "add_a_program"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with an interpreter that imports the package from it, and the files of both examples."""
    root = tmp_path_factory.mktemp("stranger")
    for name in ("src", "config", "workflow", "tests", "envs", "results/published"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    shutil.copy(EXAMPLE / "mach.yaml", root / "config" / "methods")
    shutil.copy(EXAMPLE / "hashed.py", root / "src" / "xmcbench" / "output")
    shutil.copy(PROGRAM / "neighbours.yaml", root / "config" / "methods")
    shutil.copy(PROGRAM / "sklearn_neighbours.py", root / "src" / "xmcbench" / "foreign")
    cell = {"budget": "smoke", "datasets": ["wordnet-33k"], "methods": ["mach", "neighbours"]}
    (root / "config" / "grids" / "mine.yaml").write_text(yaml.safe_dump({"cells": [cell]}))
    assert all(path.read_bytes() == content for path, content in before.items()), "a file was edited"

    interpreter(root / "venv", root / "src")
    for script in ("xmcbench", "snakemake"):
        file = root / "venv" / "bin" / script
        file.write_text(f'#!/bin/sh\nexec "{root}/venv/bin/python" -m {script} "$@"\n')
        file.chmod(0o755)
    # What the program's rule would build from the package index, made of what is installed here: pins of its versions.
    pins = [line.split("==") for line in (PROGRAM / "sklearn_neighbours.txt").read_text().splitlines()]
    names = [pin[0] for pin in pins if len(pin) == 2]
    (root / "envs" / "foreign" / "sklearn_neighbours.txt").write_text(
        "".join(f"{name}=={version(name)}\n" for name in names)
    )
    environment = root / "resources" / "foreign" / "sklearn_neighbours"
    interpreter(environment)
    (environment / "ready").touch()
    return root


def interpreter(folder: Path, *first: Path) -> None:
    """Make an environment with this interpreter's packages, but not its install of the project: `first` stand in front."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "packages.pth").write_text("".join(f"{p}\n" for p in (*first, *packages)))


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


def test_they_are_run_and_shown(copy: Path) -> None:
    run(copy, "snakemake", "--cores", "2", "--config", "grid=mine")
    main = pd.read_csv(copy / "results/tables/run/main.csv").set_index("method")
    for method, label in (("mach", "MACH"), ("neighbours", "Nearest neighbours")):
        assert main.loc[method, "P@1"] > 1.0, f"{method} learned nothing"
        assert f"| {label} |" in (copy / "results/tables/run/main.md").read_text()
        assert label in (copy / "results/figures/run/accuracy_memory.svg").read_text()
        assert label in (copy / "results/report.html").read_text()


def test_the_example_pins_what_the_project_pins() -> None:
    ours = (ROOT / "envs" / "constraints.txt").read_text().splitlines()
    pins = (PROGRAM / "sklearn_neighbours.txt").read_text().splitlines()
    assert [pin for pin in pins if "==" in pin and pin not in ours] == []


def test_the_readme_shows_these_files_word_for_word() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = [*EXAMPLE.iterdir(), *PROGRAM.iterdir()]
    for file in (path for path in shown if path.is_file()):
        assert f"\n{file.read_text()}```" in readme, f"README.md does not show {file.relative_to(ROOT)}"
    lines = sum(len((EXAMPLE / file).read_text().splitlines()) for file in ("mach.yaml", "hashed.py"))
    assert lines <= 60
