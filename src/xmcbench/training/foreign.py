"""A program of others as a reference: its interpreter runs its adapter on the same features, and we score what it ranks."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmcbench import foreign as adapters
from xmcbench.errors import DataError, ForeignError
from xmcbench.recipe import ReferenceRecipe
from xmcbench.training.reference_result import Reference
from xmcbench.training.tfidf import Tfidf


def foreign(recipe: ReferenceRecipe, features: Tfidf, labels: int, k: int, python: Path | None) -> Reference:
    """Run `recipe.program` in its own environment.

    python: the interpreter of the environment that the workflow built. Raises ForeignError if it is missing or the
    program fails (its last line is in the message), DataError for predictions that do not fit.
    """
    if python is None or not python.is_file():
        raise ForeignError(f"{python}: no interpreter for {recipe.program}; allowed: one that its rule built")
    assert recipe.program is not None
    adapter = Path(adapters.__file__).parent / f"{recipe.program}.py"
    with tempfile.TemporaryDirectory(prefix="xmcbench-") as name:
        folder = Path(name)
        for file, matrix in (
            ("train", features.train_NV.astype(np.float32)),
            ("truth", features.truth_NL),
            ("test", features.test_NV),
        ):
            sp.save_npz(folder / f"{file}.npz", matrix)
        options = {"k": k, "seed": recipe.seed, "threads": recipe.threads, "options": recipe.options}
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        done = subprocess.run(
            [str(python), str(adapter), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
            raise ForeignError(f"{recipe.program}: ended with status {done.returncode}: {last}")
        return _read(folder / "prediction.npz", features.test_NV.shape[0], labels, k, str(recipe.program))


def _read(file: Path, documents: int, labels: int, k: int, program: str) -> Reference:
    if not file.is_file():
        raise ForeignError(f"{program}: left no predictions")
    with np.load(file, allow_pickle=False) as arrays:
        label_Nk, score_Nk = arrays["label_Nk"], arrays["score_Nk"]
        numbers = {
            name: arrays[name].item()
            for name in ("parameters", "weight_bytes", "train_seconds", "predict_seconds")
        }
    if label_Nk.shape != (documents, k) or score_Nk.shape != (documents, k):
        raise DataError(f"{program}: predictions of shape {label_Nk.shape}; allowed: {documents} × {k}")
    if label_Nk.min() < -1 or label_Nk.max() >= labels:
        raise DataError(f"{program}: predicts label {label_Nk.max()}; allowed: -1 (none) … {labels - 1}")
    return Reference(label_Nk.astype(np.int32), score_Nk.astype(np.float32), **numbers)
