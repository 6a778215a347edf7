"""Each mistake stops the workflow before any job, with one line that names file, key and what is allowed."""

import pytest

from ..conftest import replace
from .conftest import Workflow


def refused(workflow: Workflow, *arguments: str) -> str:
    """Run, expect a refusal and no job; return the one line that explains it."""
    text = workflow.run(*arguments, expect=1)
    assert not (workflow.root / "resources").exists() and not (workflow.root / "results").exists()
    lines = [line for line in text.splitlines() if "config" in line and ("key " in line or "line " in line)]
    assert lines, text
    return lines[0]


CASES = {
    "unknown method": (
        "config/grids/quick.yaml",
        "- dense\n",
        "- densse\n",
        ("config/grids/quick.yaml", "'methods'", "densse", " dense,"),
    ),
    "unknown data set": (
        "config/grids/quick.yaml",
        "[wordnet-33k]",
        "[wordnet-34k]",
        ("config/grids/quick.yaml", "'datasets'", "wordnet-34k", "debian-deps-42k"),
    ),
    "unknown key": (
        "config/methods/dense.yaml",
        "learning_rate:",
        "learning_rat:",
        ("config/methods/dense.yaml", "output_optimizer.learning_rat", "learning_rate"),
    ),
    "wrong type": (
        "config/budgets/quick.yaml",
        "epochs: 10",
        "epochs: ten",
        ("config/budgets/quick.yaml", "training.epochs", "integer"),
    ),
    "typo in YAML": (
        "config/methods/dense.yaml",
        "{kind: dense}",
        "{kind: dense",
        ("config/methods/dense.yaml", "line"),
    ),
    "a key twice": (
        "config/config.yaml",
        "grid: quick\n",
        "grid: quick\ngrid: smoke\n",
        ("config/config.yaml, line 3", "'grid'", "twice", "line 2"),
    ),
    "a device that is not there": (
        "config/methods/dense.yaml",
        "recipe:\n",
        "recipe:\n  training: {device: cuda}\n",
        ("training.device", "cuda", "allowed: cpu"),
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_mistake_in_a_file(case: str, fresh: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    name, old, new, expected = CASES[case]
    replace(fresh.root / name, old, new)
    line = refused(fresh, "all")
    assert all(part in line for part in expected), line


def test_a_mistake_on_the_command_line(fresh: Workflow) -> None:
    line = refused(fresh, "--config", "grid=qick", "--", "all")
    assert all(part in line for part in ("'grid'", "qick", "allowed:", "quick")), line


def test_a_swept_point_that_no_grid_plans(fresh: Workflow) -> None:
    folder = "results/runs/quick/wordnet-33k/dense@fan_in=3/seed1"
    text = fresh.run("--dry-run", f"{folder}/metrics.json", expect=1)
    assert f"{folder}: no grid of config/grids plans this run" in text


def test_a_missing_data_file_and_counts_that_differ_stop_before_training(fresh: Workflow) -> None:
    dataset = fresh.root / "config/datasets/wordnet-33k.yaml"
    replace(dataset, "documents_test: 20704", "documents_test: 20705")
    text = fresh.run("collected", expect=1)
    assert "20705" in text and "20704" in text and "documents_test" in text and "wordnet-33k" in text
    assert "rule train" not in text and not (fresh.root / "resources/prepared/wordnet-33k").exists()
    replace(dataset, "file: ", "file: no-such-")
    text = fresh.run("collected", expect=1)
    assert "no-such-" in text and "no such file" in text.lower()
    assert "rule train" not in text
