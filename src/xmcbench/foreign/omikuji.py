"""Omikuji (Parabel, Bonsai): linear label trees. It takes no seed, so runs differ by about a point of P@1."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

# This folder stands first on the path when the file is run, and the file is called as the program is.
sys.path.remove(str(Path(__file__).parent))
import omikuji


def main(folder: Path) -> None:
    """Fit and predict."""
    options = json.loads((folder / "options.json").read_text())
    train, truth, test = (sp.load_npz(folder / f"{name}.npz") for name in ("train", "truth", "test"))
    file = folder / "train.txt"
    with open(file, "w", encoding="ascii") as data:
        data.write(f"{train.shape[0]} {train.shape[1]} {truth.shape[1]}\n")
        for row in range(train.shape[0]):
            its = slice(train.indptr[row], train.indptr[row + 1])
            labels = truth.indices[truth.indptr[row] : truth.indptr[row + 1]]
            pairs = zip(train.indices[its], train.data[its], strict=True)
            data.write(",".join(map(str, labels)) + " " + " ".join(f"{i}:{v:.7g}" for i, v in pairs) + "\n")
    settings = omikuji.Model.default_hyper_param()
    for key, value in options["options"].items():
        if key != "beam_size":
            setattr(settings, key, value)
    began = time.perf_counter()
    model = omikuji.Model.train_on_data(str(file), settings, options["threads"])
    trained = time.perf_counter()
    k, beam = options["k"], options["options"].get("beam_size", 10)
    label = np.full((test.shape[0], k), -1, np.int32)
    score = np.full((test.shape[0], k), -np.inf, np.float32)
    for row in range(test.shape[0]):
        its = slice(test.indptr[row], test.indptr[row + 1])
        found = model.predict(
            list(zip(test.indices[its].tolist(), test.data[its].tolist(), strict=True)), beam, k
        )
        for place, (its_label, its_score) in enumerate(found[:k]):
            label[row, place], score[row, place] = its_label, its_score
    predicted = time.perf_counter()
    model.save(str(folder / "model"))
    size = sum(f.stat().st_size for f in (folder / "model").rglob("*") if f.is_file())
    # A stored weight is an index and a value of four bytes each.
    np.savez(
        folder / "prediction.npz",
        label_Nk=label,
        score_Nk=score,
        parameters=size // 8,
        weight_bytes=size,
        train_seconds=trained - began,
        predict_seconds=predicted - trained,
    )


main(Path(sys.argv[1]))
