"""Programs of others, by stand-ins that this interpreter runs: what they read, what they leave, how they fail."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmcbench import foreign as adapters
from xmcbench.errors import DataError, ForeignError
from xmcbench.plan import Project
from xmcbench.recipe import ReferenceRecipe, recipe_of
from xmcbench.training.foreign import foreign
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


def ranked(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str = sys.executable
) -> Reference:
    (tmp_path / "omikuji.py").write_text(HEAD + code)
    monkeypatch.setattr(adapters, "__file__", str(tmp_path / "__init__.py"))
    one_NV = sp.csr_matrix(np.eye(3, 5, dtype=np.float64))
    truth_NL = sp.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.int8))
    features = Tfidf(one_NV, truth_NL, one_NV[[2, 0]].astype(np.float32))
    assert isinstance(RECIPE, ReferenceRecipe)
    return foreign(RECIPE, features, 4, 2, Path(python))


def test_a_program_reads_our_features_and_leaves_its_ranking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ranked(NEAREST + SAVE, tmp_path, monkeypatch)
    assert result.label_Nk[:, 0].tolist() == [3, 1] and result.label_Nk.dtype == np.int32
    assert (result.parameters, result.weight_bytes, result.train_seconds) == (7, 56, 1.5)


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


def test_foreign_programs_are_in_no_grid_but_their_own(project: Project) -> None:
    for grid in project.grids:
        foreign_runs = [run for run in project.runs(grid) if run.recipe.runner == "foreign"]
        assert bool(foreign_runs) == (grid in {"foreign", "foreign_full"})


@pytest.mark.parametrize(
    "values, message",
    [
        ({"runner": "foreign"}, "a program belongs to runner foreign"),
        ({"runner": "linear_ovr", "program": "omikuji"}, "a program belongs to runner foreign"),
        (
            {"runner": "foreign", "program": "excel"},
            "unknown value 'excel'; allowed: napkinxc, omikuji, pecos",
        ),
    ],
)
def test_wrong_programs_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_of({"dataset": "d", "method": "m", "budget": "b", **values})
