"""PECOS XR-Linear: a label tree of positive instance features, each node a linear ranker."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

# This folder stands first on the path when the file is run, and the file is called as the program is.
sys.path.remove(str(Path(__file__).parent))
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel

#: The program's own would do, but a mistyped option must not pass as one of them.
DEFAULTS = {"nr_splits": 16, "max_leaf_size": 100, "Cp": 1.0, "Cn": 1.0, "beam_size": 10}


def main(folder: Path) -> None:
    """Fit and predict."""
    options = json.loads((folder / "options.json").read_text())
    train, truth, test = (
        sp.load_npz(folder / f"{name}.npz").tocsr().astype(np.float32) for name in ("train", "truth", "test")
    )
    own, k, threads = {**DEFAULTS, **options["options"]}, options["k"], options["threads"]
    if set(own) != set(DEFAULTS):
        sys.exit(f"unknown options {sorted(set(own) - set(DEFAULTS))}; allowed: {sorted(DEFAULTS)}")
    began = time.perf_counter()
    clusters = Indexer.gen(
        LabelEmbeddingFactory.create(truth, train, method="pifa"),
        seed=options["seed"],
        threads=threads,
        nr_splits=own["nr_splits"],
        max_leaf_size=own["max_leaf_size"],
    )
    model = XLinearModel.train(train, truth, C=clusters, threads=threads, Cp=own["Cp"], Cn=own["Cn"])
    trained = time.perf_counter()
    ranked = model.predict(test, only_topk=k, beam_size=own["beam_size"], threads=threads)
    label = np.full((test.shape[0], k), -1, np.int32)
    score = np.full((test.shape[0], k), -np.inf, np.float32)
    for row in range(test.shape[0]):
        its = slice(ranked.indptr[row], ranked.indptr[row + 1])
        order = np.argsort(-ranked.data[its], kind="stable")[:k]
        label[row, : len(order)], score[row, : len(order)] = (
            ranked.indices[its][order],
            ranked.data[its][order],
        )
    predicted = time.perf_counter()
    model.save(str(folder / "model"))
    size = sum(f.stat().st_size for f in (folder / "model").rglob("W.npz"))
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
