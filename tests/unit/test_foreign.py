"""Programs of others, by stand-ins that this interpreter runs: what they read, what they leave, how they fail."""

import os
import signal
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmcbench import foreign as adapters
from xmcbench.errors import DataError, ForeignError, Interrupted
from xmcbench.plan import Project
from xmcbench.recipe import ReferenceRecipe, recipe_of
from xmcbench.training.foreign import ForeignEnvironment, foreign
from xmcbench.training.reference_result import Reference
from xmcbench.training.tfidf import Tfidf

HEAD = """
import json, sys
from pathlib import Path
import numpy as np
import scipy.sparse as sp
folder = Path(sys.argv[1])
options = json.loads((folder / "options.json").read_text())
train, truth, test = (sp.load_npz(folder / f"{n}.npz") for n in ("train", "truth", "test"))
"""
SAVE = """
np.savez(folder / "prediction.npz", label_Nk=label, score_Nk=score, parameters=7, weight_bytes=56,
         train_seconds=1.5, predict_seconds=0.5)
"""
#: Ranks labels by how alike a test document is to each training document.
NEAREST = """
z = (test @ train.T @ truth).toarray()
label = np.argsort(-z, axis=1, kind="stable")[:, : options["k"]].astype(np.int32)
score = np.take_along_axis(z, label, axis=1).astype(np.float32)
assert options["options"] == {"n_trees": 1} and options["seed"] == 1 and options["threads"] == 2
"""

RECIPE = recipe_of(
    {
        "runner": "foreign",
        "program": "omikuji",
        "options": {"n_trees": 1},
        "dataset": "d",
        "method": "m",
        "budget": "b",
    }
)


PINS = f"# what it needs\nnumpy=={version('numpy')}  # arrays\n\nscipy == {version('scipy')}\n"


def ranked(
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    python: str = sys.executable,
    pins: str | None = PINS,
) -> Reference:
    if pins is not None:
        (tmp_path / "pins.txt").write_text(pins)
    (tmp_path / "omikuji.py").write_text(HEAD + code)
    monkeypatch.setattr(adapters, "__file__", str(tmp_path / "__init__.py"))
    one_NV = sp.csr_matrix(np.eye(3, 5, dtype=np.float64))
    truth_NL = sp.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.int8))
    features = Tfidf(one_NV, truth_NL, one_NV[[2, 0]].astype(np.float32))
    assert isinstance(RECIPE, ReferenceRecipe)
    return foreign(RECIPE, features, 4, 2, ForeignEnvironment(Path(python), tmp_path / "pins.txt"))


def test_a_program_reads_our_features_and_leaves_its_ranking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ranked(NEAREST + SAVE, tmp_path, monkeypatch)
    assert result.label_Nk[:, 0].tolist() == [3, 1] and result.label_Nk.dtype == np.int32
    assert (result.parameters, result.weight_bytes, result.train_seconds) == (7, 56, 1.5)
    assert result.packages == {"numpy": version("numpy"), "scipy": version("scipy")}


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="sizes are read from /proc")
def test_its_peak_of_memory_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = np.ones(2**29, np.uint8)  # a child's ru_maxrss would start from this
    result = ranked(NEAREST + f"\ntouched = np.ones({2**27}, np.uint8)\n" + SAVE, tmp_path, monkeypatch)
    assert result.peak_rss_bytes is not None
    assert 2**27 < result.peak_rss_bytes < ours.nbytes


@pytest.mark.parametrize(
    "code, error, message",
    [
        (
            "raise ValueError('no such tree')",
            ForeignError,
            "omikuji: ended with status 1: ValueError: no such tree",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            ForeignError,
            "omikuji: ended with status -9: it said nothing",
        ),
        ("", ForeignError, "omikuji: left no predictions"),
        (f"label = np.zeros((1, 2)); score = label{SAVE}", DataError, r"shape \(1, 2\); allowed: 2 × 2"),
        (f"label = np.full((2, 2), 4); score = label{SAVE}", DataError, "predicts label 4; allowed: -1 .* 3"),
    ],
)
def test_a_program_that_fails_says_so_in_one_line(
    code: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(error, match=message):
        ranked(code, tmp_path, monkeypatch)


def test_without_an_environment_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForeignError, match="no interpreter for omikuji"):
        ranked(NEAREST + SAVE, tmp_path, monkeypatch, str(tmp_path / "bin" / "python"))
    features = Tfidf(sp.csr_matrix((0, 0)), sp.csr_matrix((0, 0)), sp.csr_matrix((0, 0)))
    assert isinstance(RECIPE, ReferenceRecipe)
    with pytest.raises(ForeignError, match="omikuji: no environment was named"):
        foreign(RECIPE, features, 4, 2, None)


@pytest.mark.parametrize(
    "pins, message",
    [
        ("numpy==0.1", rf"numpy: version {version('numpy')}; allowed: 0\.1 \(.*pins\.txt\); delete "),
        ("no-such-package==1", "no-such-package: not installed; allowed: 1 "),
        ("numpy>=1", "'numpy>=1' pins nothing; allowed: name==version"),
        ("numpy==1.*", r"'numpy==1\.\*' pins nothing"),
        (None, r"pins\.txt: no such file"),
    ],
)
def test_other_versions_than_its_pins_run_nothing(
    pins: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(ForeignError, match=message) as error:
        ranked(f"open({str(ran)!r}, 'w')\n{NEAREST}{SAVE}", tmp_path, monkeypatch, pins=pins)
    assert not ran.exists() and "\n" not in str(error.value)


@pytest.mark.parametrize("pin, fits", [("2.13.0", True), ("2.13.0+cpu", True), ("2.13.0+cu130", False)])
def test_a_pin_without_a_local_part_allows_any(pin: str, fits: bool, tmp_path: Path) -> None:
    python, pins = tmp_path / "python", tmp_path / "pins.txt"
    python.write_text("""#!/bin/sh\necho '{"torch": "2.13.0+cpu"}'\n""")
    python.chmod(0o755)
    pins.write_text(f"torch=={pin}")
    environment = ForeignEnvironment(python, pins)
    if fits:
        assert environment.packages("pecos") == {"torch": "2.13.0+cpu"}
    else:
        with pytest.raises(ForeignError, match=r"torch: version 2\.13\.0\+cpu; allowed: 2\.13\.0\+cu130"):
            environment.packages("pecos")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_program_and_leaves_no_folder(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    code = f"""
import os, time
Path({str(started)!r} + ".new").write_text(f"{{os.getpid()}} {{folder}}")
os.rename({str(started)!r} + ".new", {str(started)!r})
time.sleep(60)
"""

    def stop() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted, match=f"omikuji: stopped by {number.name}; nothing was written"):
        ranked(code, tmp_path, monkeypatch)
    thread.join()
    pid, folder = started.read_text().split(maxsplit=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert Path(folder).parent == tmp_path and not Path(folder).exists()
    assert signal.getsignal(number) == before


def test_foreign_programs_are_in_no_grid_but_their_own(project: Project) -> None:
    own = {"foreign", "foreign_full"}
    with_some = {g for g in project.grids if any(r.recipe.runner == "foreign" for r in project.runs(g))}
    assert own <= with_some
    # Somebody's own grid may have some; what `all`, CI and the targets of our methods run has none.
    ours = {
        "quick",
        "smoke",
        "methods",
        "methods_seeds",
        "quick_seeds",
        "matrix",
        "tuning",
        "paper",
        "fidelity",
    }
    assert ours <= set(project.grids) and not ours & with_some


@pytest.mark.parametrize(
    "values, message",
    [
        ({"runner": "foreign"}, "a program belongs to runner foreign"),
        ({"runner": "linear_ovr", "program": "omikuji"}, "a program belongs to runner foreign"),
        (
            {"runner": "foreign", "program": "excel"},
            "unknown value 'excel'; allowed: .*napkinxc, .*omikuji, .*pecos",
        ),
    ],
)
def test_wrong_programs_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_of({"dataset": "d", "method": "m", "budget": "b", **values})
