"""Score a run: stored top-k against the sample's truth, into metrics.json.

Shapes: N documents, L labels, k predictions. Memory beyond what is stored does not grow with N.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xmcbench.atomic import read_json, write_json
from xmcbench.data.store import PreparedStore
from xmcbench.errors import DataError
from xmcbench.evaluation.bands import ALL, members
from xmcbench.evaluation.first_hits import pack
from xmcbench.evaluation.macro import LabelSums
from xmcbench.evaluation.precision import hits
from xmcbench.evaluation.propensity import inverse_propensity
from xmcbench.evaluation.ranking import Chunk, RankingSums
from xmcbench.evaluation.rulers import Ruler, plain_ruler, rulers_of

KS = (1, 2, 3, 4, 5, 10)
#: Documents scored at a time: some 20 MB at 20 predictions each.
CHUNK = 16_384


def score_topk(
    label_Nk: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    weight_L: np.ndarray,
    counts_L: np.ndarray,
    ks: tuple[int, ...] = KS,
    ruler: Ruler | None = None,
    chunk: int = CHUNK,
) -> list[dict[str, Any]]:
    """Return tidy records of every metric at every k (rising, at most the predictions stored), in percent, by band.

    weight_L: inverse propensities; counts_L: training documents of every label, which put it into a band; chunk:
    documents at a time, which changes no value beyond rounding. A band without scored documents has no record; the
    others also tell the labels, scored documents and true pairs that their values rest on.
    """
    ruler = ruler if ruler is not None else plain_ruler(len(weight_L))
    masks: dict[str, np.ndarray | None] = {ALL: None, **members(counts_L)}
    ranking = {band: RankingSums(ks, weight_L, mask_L) for band, mask_L in masks.items()}
    labels = LabelSums(ks, len(weight_L))
    for its in _chunks(label_Nk, indptr, indices, ruler, max(ks), chunk):
        labels.add(its)
        for sums in ranking.values():
            sums.add(its)
    records: list[dict[str, Any]] = []
    for band, mask_L in masks.items():
        sums = ranking[band]
        if not sums.documents:
            continue
        place = {"band": band, "ruler": ruler.name}
        counted = {
            "labels": len(weight_L) if mask_L is None else int(mask_L.sum()),
            "scored_documents": sums.documents,
            "true_pairs": sums.pairs,
        }
        records += [{"metric": m, "k": None, **place, "value": n, "unit": "1"} for m, n in counted.items()]
        values = {**sums.values(), **labels.values(mask_L)}
        for metric, value_C in sorted(values.items()):
            records += [
                {"metric": metric, "k": k, **place, "value": value, "unit": "%"}
                for k, value in zip(ks, value_C.tolist(), strict=True)
            ]
    return records


def first_hits(
    label_Nk: np.ndarray, indptr: np.ndarray, indices: np.ndarray, ruler: Ruler, chunk: int = CHUNK
) -> np.ndarray:
    """Return whether the first prediction is right (bool), of every scored document in order: their mean is P@1."""
    found = []
    for its in _chunks(label_Nk, indptr, indices, ruler, 1, chunk):
        scored_B = np.bincount(its.row_P, minlength=len(its.label_Bk)) > 0
        found.append(its.hit_Bk[scored_B, 0])
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def score_run(run_folder: Path, sample_folder: Path) -> None:
    """Read topk.npz and recipe.json of a run, score the split that it predicted by every ruler of the recipe, write metrics.json.

    Propensities and bands count all training documents of the sample (validation included): they describe the data,
    not a run. Raises DataError for predictions that do not fit the sample, or too few for what its filter removes.
    """
    recipe = read_json(run_folder / "recipe.json")
    asked = recipe["evaluation"]
    store = PreparedStore.open(sample_folder)
    name = asked.get("split", "test")
    scored = store.split(name)
    file = run_folder / "topk.npz"
    label_Nk = read_topk(file, scored.documents, store.labels)
    rulers = rulers_of(store, asked.get("rulers", ()), name)
    _require_enough(file, label_Nk, asked["k"], rulers, store.labels)
    documents = store.split("train").documents + store.split("validation").documents
    counts_L = store.label_counts("train", "validation")
    weight_L = inverse_propensity(counts_L, documents, asked["propensity"]["a"], asked["propensity"]["b"])
    ks = tuple(k for k in KS if k <= min(asked["k"], label_Nk.shape[1]))
    records = []
    for ruler in rulers:
        records += score_topk(label_Nk, scored.indptr, scored.indices, weight_L, counts_L, ks, ruler)
    write_json(
        run_folder / "metrics.json",
        {
            "format": 2,
            **{key: recipe[key] for key in ("dataset", "method", "seed", "budget")},
            "split": name,
            "documents": scored.documents,
            "scored_documents": int((np.diff(scored.indptr) > 0).sum()),
            "records": records,
            "first_hits": pack(first_hits(label_Nk, scored.indptr, scored.indices, rulers[0])),
        },
    )


def read_topk(path: Path, documents: int, labels: int) -> np.ndarray:
    """Read label_Nk; raises DataError naming the file if type, shape or label ids do not fit."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            label_Nk: np.ndarray = arrays["label"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: no stored predictions ({error})") from error
    if not np.issubdtype(label_Nk.dtype, np.integer):
        raise DataError(f"{path}: labels of type {label_Nk.dtype}; allowed: integers")
    if label_Nk.ndim != 2 or label_Nk.shape[0] != documents:
        raise DataError(f"{path}: predictions of shape {label_Nk.shape}; allowed: {documents} documents × k")
    if label_Nk.size and (label_Nk.min() < -1 or label_Nk.max() >= labels):
        wrong = int(label_Nk.min()) if label_Nk.min() < -1 else int(label_Nk.max())
        raise DataError(f"{path}: label {wrong}; allowed: -1 (none) … {labels - 1}")
    return label_Nk


def _require_enough(path: Path, label_Nk: np.ndarray, k: int, rulers: list[Ruler], labels: int) -> None:
    """Refuse predictions that a filter could leave with fewer than k: they would look worse than they are."""
    removed = max(ruler.from_predictions.most_of_one_document for ruler in rulers)
    needed = min(labels, k + removed)
    if removed and label_Nk.shape[1] < needed:
        raise DataError(
            f"{path}: {label_Nk.shape[1]} predictions a document; allowed: at least {needed} "
            f"(evaluation.k = {k}, and up to {removed} are removed before scoring)"
        )


def _chunks(
    label_Nk: np.ndarray, indptr: np.ndarray, indices: np.ndarray, ruler: Ruler, k: int, size: int
) -> Iterator[Chunk]:
    """Yield the documents a chunk at a time, after the ruler's removals."""
    for first in range(0, len(label_Nk), size):
        last = min(first + size, len(label_Nk))
        bound_B1 = np.asarray(indptr[first : last + 1], dtype=np.int64)
        row_P = np.repeat(np.arange(first, last, dtype=np.int64), np.diff(bound_B1))
        label_P = np.asarray(indices[bound_B1[0] : bound_B1[-1]], dtype=np.int64)
        row_P, label_P = ruler.from_truth.out_of_truth(row_P, label_P)
        row_P -= first
        label_Bk = np.asarray(label_Nk[first:last], dtype=np.int64)
        label_Bk = ruler.from_predictions.out_of_predictions(label_Bk, first)[:, :k]
        bounds = np.concatenate([[0], np.cumsum(np.bincount(row_P, minlength=last - first))])
        yield Chunk(label_Bk, hits(label_Bk, bounds, label_P), row_P, label_P)
