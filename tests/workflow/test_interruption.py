"""Killed or failing, the workflow loses nothing: a plain second start goes on."""

import csv
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from xmcbench.atomic import read_json
from xmcbench.reporting.ledger import TIMES

from .conftest import Workflow


def trainers(root: Path) -> list[int]:
    """Process ids whose working directory is this project."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == root.resolve():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def scored(method: str) -> str:
    """A run's last file, as a target: nothing is collected and drawn that these tests do not look at."""
    return f"results/runs/tiny/wordnet-33k/{method}/seed1/metrics.json"


def forget_run(workflow: Workflow, method: str) -> None:
    for file in workflow.folder(method).iterdir():
        file.unlink()


def killed(workflow: Workflow, method: str, checkpoints: int, **environment: str) -> None:
    """Start the workflow, and kill -9 its whole process group once the method's run has so many checkpoints."""
    process = subprocess.Popen(
        workflow.command(scored(method)),
        cwd=workflow.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "XMCBENCH_CHECKPOINT_SECONDS": "0", **environment},
    )
    folder = workflow.folder(method)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(folder.glob("checkpoints/step-*"))) >= checkpoints and (folder / ".lock").exists():
            break
        time.sleep(0.02)
    assert process.poll() is None, "the workflow was too quick to be killed: the test tests nothing"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while trainers(workflow.root) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (folder / "metrics.json").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finding the processes needs /proc")
def test_kill_9_of_the_whole_group_twice_then_a_plain_start(built: Workflow) -> None:
    expected = built.stable_bytes()
    forget_run(built, "one")
    killed(built, "one", checkpoints=0)
    killed(built, "one", checkpoints=1)
    text = built.run("all")
    assert "rule train" in text and "rule reference" not in text
    assert built.stable_bytes() == expected
    assert built.planned("all") == {}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finding the processes needs /proc")
def test_seconds_beside_other_work_stay_in_a_run_that_goes_on_alone(built: Workflow) -> None:
    assert "shared_machine" not in read_json(built.folder("one") / "timing.json")
    forget_run(built, "one")
    killed(built, "one", checkpoints=1, XMCBENCH_SHARED_MACHINE="1")
    built.run(scored("one"))
    assert "going on after step" in (built.root / "logs/train/tiny/wordnet-33k/one/seed1.log").read_text()
    assert read_json(built.folder("one") / "timing.json")["shared_machine"] is True


def test_runs_side_by_side_are_the_same_and_keep_no_seconds(built: Workflow) -> None:
    expected = built.stable_bytes()
    for method in ("one", "two"):
        forget_run(built, method)
    text = built.run("all", "--cores", "4", "--set-threads", "train=2")
    assert "Execute 2 jobs..." in text, "nothing else is missing that could run beside"
    assert built.stable_bytes() == expected
    with (built.root / "results/collected/run.csv").open() as file:
        timed = {row["method"] for row in csv.DictReader(file) if row["metric"] in TIMES}
    assert timed == {"most_frequent"}, "which was alone, and is kept"
    assert built.planned("all") == {}, "whoever has a run for itself next need not repeat it"


def test_one_failing_method_does_not_stop_the_others(built: Workflow) -> None:
    two = built.root / "config/methods/two.yaml"
    good = two.read_text()
    forget_run(built, "one")
    # A learning rate with which the loss overflows in the first steps.
    two.write_text(good + "recipe:\n  output_optimizer: {kind: sgd, learning_rate: 1.0e+30}\n")
    text = built.run("all", expect=1)
    assert (built.folder("one") / "metrics.json").exists()
    assert not (built.folder("two") / "topk.npz").exists()
    assert "not finite" in text
    table = (built.root / "results/tables/run/main.md").read_text()
    assert "not finite" in next(line for line in table.splitlines() if line.startswith("| Two"))
    page = (built.root / "results/report.html").read_text()
    assert "Partial report." in page and "not finite" in page
    collected = (built.root / "results/collected/run.csv").read_text()
    assert "two,1,tiny,,,,,test,,,failed," in collected

    # The next start tries it again, and with the cause mended everything is made anew.
    assert built.planned("all")["train"] == 1
    two.write_text(good)
    built.run("all")
    assert "Partial" not in (built.root / "results/report.html").read_text()
    assert "failed" not in (built.root / "results/collected/run.csv").read_text()
    assert not (built.folder("two") / "failed.json").exists()
    assert built.planned("all") == {}


def test_ctrl_c_saves_and_the_next_start_goes_on(built: Workflow) -> None:
    expected = built.stable_bytes()
    forget_run(built, "one")
    process = subprocess.Popen(
        built.command(scored("one")),
        cwd=built.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    folder = built.folder("one")
    deadline = time.monotonic() + 120
    while not (folder / ".lock").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    # A terminal's Ctrl-C goes to every process of the foreground group.
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (folder / "failed.json").exists()
    assert not trainers(built.root)
    built.run(scored("one"))
    assert built.stable_bytes() == expected


def test_outputs_are_the_files_that_are_promised(original: Workflow) -> None:
    promised = {
        "recipe.json",
        "model.safetensors",
        "history.jsonl",
        "topk.npz",
        "metrics.json",
        "timing.json",
        "env.json",
    }
    assert {f.name for f in original.folder("one").iterdir()} - {".lock"} == promised
    assert (original.root / "logs/train/tiny/wordnet-33k/one/seed1.log").exists()
    for name in ("recipe.json", "history.jsonl", "metrics.json"):
        text = (original.folder("one") / name).read_text()
        assert not any(word in text for word in ("second", "bytes", "rss", "finished"))
        assert not re.search(r"20\d\d-\d\d-\d\d", text), (
            "a date; the digits of a year alone may be part of a number"
        )
