"""NapkinXC (PLT): probabilistic label trees."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

# This folder stands first on the path when the file is run, and the file is called as the program is.
sys.path.remove(str(Path(__file__).parent))
from napkinxc.models import PLT


def main(folder: Path) -> None:
    """Fit and predict."""
    options = json.loads((folder / "options.json").read_text())
    train, truth, test = (sp.load_npz(folder / f"{name}.npz") for name in ("train", "truth", "test"))
    labels = [truth.indices[a:b].tolist() for a, b in zip(truth.indptr[:-1], truth.indptr[1:], strict=True)]
    model = PLT(str(folder / "model"), seed=options["seed"], threads=options["threads"], **options["options"])
    began = time.perf_counter()
    model.fit(train, labels)
    trained = time.perf_counter()
    k = options["k"]
    label = np.full((test.shape[0], k), -1, np.int32)
    score = np.full((test.shape[0], k), -np.inf, np.float32)
    for row, found in enumerate(model.predict_proba(test, top_k=k)):
        for place, (its_label, its_score) in enumerate(found[:k]):
            label[row, place], score[row, place] = its_label, its_score
    predicted = time.perf_counter()
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
