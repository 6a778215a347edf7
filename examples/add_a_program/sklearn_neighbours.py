"""src/xmcbench/foreign/sklearn_neighbours.py: a label's score is the sum of cosines to the nearest documents that have it."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors


def main(folder: Path) -> None:
    """Fit and predict."""
    options = json.loads((folder / "options.json").read_text())
    train, truth, test = (sp.load_npz(folder / f"{name}.npz").tocsr() for name in ("train", "truth", "test"))
    began = time.perf_counter()
    model = NearestNeighbors(
        metric="cosine", n_jobs=options["threads"], n_neighbors=options["options"]["neighbours"]
    )
    model.fit(train)
    trained = time.perf_counter()
    label = np.full((test.shape[0], options["k"]), -1, np.int32)
    score = np.full(label.shape, -np.inf, np.float32)
    for start in range(0, test.shape[0], 1024):
        near = model.kneighbors_graph(test[start : start + 1024], mode="distance")
        near.data = 1 - near.data
        ranked = (near @ truth).tocsr()
        for row in range(ranked.shape[0]):
            its = slice(ranked.indptr[row], ranked.indptr[row + 1])
            order = np.lexsort((ranked.indices[its], -ranked.data[its]))[: options["k"]]
            label[start + row, : len(order)] = ranked.indices[its][order]
            score[start + row, : len(order)] = ranked.data[its][order]
    counts = {
        "parameters": train.nnz,
        "weight_bytes": train.data.nbytes + train.indices.nbytes + train.indptr.nbytes,
    }
    seconds = {"train_seconds": trained - began, "predict_seconds": time.perf_counter() - trained}
    np.savez(folder / "prediction.npz", label_Nk=label, score_Nk=score, **counts, **seconds)


main(Path(sys.argv[1]))
