"""Score a run: stored top-k against the sample's truth, into metrics.json.

Shapes: N documents, L labels, k predictions.
"""

from pathlib import Path
from typing import Any

import numpy as np

from xmcbench.atomic import read_json, write_json
from xmcbench.data.store import PreparedStore
from xmcbench.errors import DataError
from xmcbench.evaluation.precision import ndcg_at_k, precision_at_k
from xmcbench.evaluation.propensity import inverse_propensity, psp_at_k

KS = (1, 3, 5)


def score_topk(
    label_Nk: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    weight_L: np.ndarray,
    ks: tuple[int, ...] = KS,
) -> list[dict[str, Any]]:
    """Return tidy records of P, nDCG and PSP at every k, in percent. Documents without labels are not scored."""
    records = []
    for k in ks:
        for metric, value in (
            ("P", precision_at_k(label_Nk, indptr, indices, k)),
            ("nDCG", ndcg_at_k(label_Nk, indptr, indices, k)),
            ("PSP", psp_at_k(label_Nk, indptr, indices, weight_L, k)),
        ):
            records.append({"metric": metric, "k": k, "value": value, "unit": "%"})
    return sorted(records, key=lambda r: (str(r["metric"]), r["k"]))


def score_run(run_folder: Path, sample_folder: Path) -> None:
    """Read topk.npz and recipe.json of a run, score the test split, write metrics.json.

    Propensities count all training documents of the sample (validation included): they describe the data, not a run.
    Raises DataError for predictions that do not fit the sample.
    """
    recipe = read_json(run_folder / "recipe.json")
    store = PreparedStore.open(sample_folder)
    test = store.split("test")
    label_Nk = read_topk(run_folder / "topk.npz", test.documents, store.labels)
    constants = recipe["evaluation"]["propensity"]
    documents = store.split("train").documents + store.split("validation").documents
    counts_L = store.label_counts("train", "validation")
    weight_L = inverse_propensity(counts_L, documents, constants["a"], constants["b"])
    ks = tuple(k for k in KS if k <= label_Nk.shape[1])
    write_json(
        run_folder / "metrics.json",
        {
            "format": 1,
            **{key: recipe[key] for key in ("dataset", "method", "seed", "budget")},
            "split": "test",
            "documents": test.documents,
            "scored_documents": int((np.diff(test.indptr) > 0).sum()),
            "records": score_topk(label_Nk, test.indptr, test.indices, weight_L, ks),
        },
    )


def read_topk(path: Path, documents: int, labels: int) -> np.ndarray:
    """Read label_Nk; raises DataError naming the file if shape or label ids do not fit."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            label_Nk: np.ndarray = arrays["label"].astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: no stored predictions ({error})") from error
    if label_Nk.ndim != 2 or label_Nk.shape[0] != documents:
        raise DataError(f"{path}: predictions of shape {label_Nk.shape}; allowed: {documents} documents × k")
    if label_Nk.size and (label_Nk.min() < -1 or label_Nk.max() >= labels):
        wrong = int(label_Nk.min()) if label_Nk.min() < -1 else int(label_Nk.max())
        raise DataError(f"{path}: label {wrong}; allowed: -1 (none) … {labels - 1}")
    return label_Nk
