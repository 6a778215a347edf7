"""Killed, stopped or damaged: a run goes on and ends in the bytes of one that was left alone (dropout is on)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xmcbench.plan import Run

from ..conftest import SmokeData

FILES = ("recipe.json", "model.safetensors", "history.jsonl", "topk.npz")


def command(run: Run, folder: Path, smoke: SmokeData, **changes: object) -> list[str]:
    recipe = json.loads(run.canonical_recipe)
    # Rewire and change of the auxiliary objective fall into the two short epochs.
    recipe["topology"]["interval_steps"] = 10
    recipe["auxiliary"]["cutoff_epochs"] = 1.5
    recipe.update(changes)
    options = ["--sample", smoke.sample, "--tokens", smoke.tokens, "--groups", smoke.groups]
    return [
        *(sys.executable, "-m", "xmcbench", "train", "--recipe", json.dumps(recipe), "--run", str(folder)),
        *(str(o) for o in options),
        *("--checkpoint-seconds", "0.2"),
    ]


@pytest.fixture(scope="module")
def run(smoke_runs: dict[str, Run]) -> Run:
    return smoke_runs["fixed_fan_in_set_aux"]


@pytest.fixture(scope="module")
def uninterrupted(run: Run, smoke: SmokeData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    trained(command(run, folder, smoke))
    return {name: (folder / name).read_bytes() for name in FILES}


#: A trainer here takes ten seconds; one that takes this long hangs.
PATIENCE = 300


def train(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a trainer to its end; one that hangs is ended with the stacks of its threads in the failure."""
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONFAULTHANDLER": "1"},
    )
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        _, errors = process.communicate(timeout=PATIENCE)
        pytest.fail(f"the trainer did not end within {PATIENCE} s:\n{errors[-8000:]}")
    return subprocess.CompletedProcess(arguments, process.returncode, "", errors)


def trained(arguments: list[str]) -> str:
    """Run a trainer to its end and return what it logged; anything but success fails the test."""
    done = train(arguments)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def killed(process: subprocess.Popen[bytes]) -> None:
    """End a trainer at once and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


def steps_saved(folder: Path) -> int:
    found = sorted((folder / "checkpoints").glob("step-*"))
    return int(found[-1].name.removeprefix("step-")) if found else 0


def start_until(arguments: list[str], folder: Path, moment: float | int) -> subprocess.Popen[bytes]:
    """Start a trainer and wait for a moment: seconds after its start, or the first checkpoint at or after a step."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    if isinstance(moment, float):
        time.sleep(moment)
    else:
        while steps_saved(folder) < moment and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    return process


def test_kill_9_at_many_moments_changes_no_byte(
    run: Run, smoke: SmokeData, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    folder = tmp_path / "run"
    in_time = 0
    # Before the first checkpoint, then just after several of them (so also inside the writing of the next).
    for moment in (1.0, 1, 12, 30, 45):
        process = start_until(command(run, folder, smoke), folder, moment)
        in_time += process.poll() is None
        killed(process)
    assert in_time >= 3, "the trainer was too quick to be killed: the test tests nothing"
    trained(command(run, folder, smoke))
    assert {name: (folder / name).read_bytes() for name in FILES} == uninterrupted


def test_a_requested_stop_saves_first(
    run: Run, smoke: SmokeData, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    """SIGTERM, and later, of the run that went on from there, Ctrl-C."""
    folder = tmp_path / "run"
    for number, moment in ((signal.SIGTERM, 5), (signal.SIGINT, 25)):
        process = start_until(command(run, folder, smoke), folder, moment)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
        assert f"{number.name}: saved after step {steps_saved(folder)} of 52".encode() in errors
        assert not (folder / "failed.json").exists() and not (folder / "topk.npz").exists()
    trained(command(run, folder, smoke))
    assert {name: (folder / name).read_bytes() for name in FILES} == uninterrupted


def test_a_second_trainer_is_turned_away_and_changes_nothing(
    run: Run, smoke: SmokeData, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first = start_until(command(run, folder, smoke), folder, 1)
    os.kill(first.pid, signal.SIGSTOP)
    before = sorted(p.name for p in (folder / "checkpoints").iterdir())
    second = train(command(run, folder, smoke))
    assert second.returncode == 2
    assert f"process {first.pid} is training here" in second.stderr
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == before
    killed(first)


def test_a_damaged_checkpoint_is_passed_over(
    run: Run, smoke: SmokeData, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    folder = tmp_path / "run"
    process = start_until(command(run, folder, smoke), folder, 20)
    killed(process)
    other = shutil.copytree(folder, tmp_path / "other")
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1] / "state.safetensors"
    damaged = bytearray(newest.read_bytes())
    damaged[-1] ^= 1
    newest.write_bytes(damaged)
    again = trained(command(run, folder, smoke))
    assert "is damaged" in again and "trying the one before" in again
    assert {name: (folder / name).read_bytes() for name in FILES} == uninterrupted

    for checkpoint in (other / "checkpoints").glob("step-*"):
        (checkpoint / "state.json").write_text("{")
    refused = train(command(run, other, smoke))
    assert refused.returncode == 2 and "every checkpoint is damaged" in refused.stderr
    assert list((other / "checkpoints").glob("step-*")), "nothing may be deleted"


def test_checkpoints_of_another_recipe_are_moved_aside(run: Run, smoke: SmokeData, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start_until(command(run, folder, smoke, seed=2), folder, 5)
    killed(process)
    again = trained(command(run, folder, smoke))
    assert "checkpoints of another recipe moved" in again and "changed: seed" in again
    assert list(folder.glob("checkpoints.of-another-recipe.*"))


def test_a_failure_leaves_its_reason_in_one_line(run: Run, smoke: SmokeData, tmp_path: Path) -> None:
    folder, broken = tmp_path / "run", tmp_path / "sample"
    shutil.copytree(smoke.sample, broken)
    (broken / "train_indices.npy").unlink()
    arguments = command(run, folder, smoke)
    arguments[arguments.index("--sample") + 1] = str(broken)
    failed = train(arguments)
    assert failed.returncode == 2
    assert (
        next(line for line in failed.stderr.splitlines() if "error:" in line).count("train_indices.npy") >= 1
    )
    assert "train_indices.npy" in json.loads((folder / "failed.json").read_text())["reason"]
    trained(command(run, folder, smoke))
    assert not (folder / "failed.json").exists()


def test_clocks_stand_in_no_compared_file(uninterrupted: dict[str, bytes]) -> None:
    for name in ("recipe.json", "history.jsonl"):
        text = uninterrupted[name].decode()
        assert "seconds" not in text and "bytes" not in text and "date" not in text.replace("updated", "")
