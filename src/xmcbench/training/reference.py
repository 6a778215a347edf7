"""Reference rows: predictors that need no training engine, on the same sample, scored by the same rule.

Shapes: N documents, V vocabulary, L labels, k predictions a document.
"""

import json
import logging
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from tqdm import tqdm

from xmcbench.atomic import write_json
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.data.training_documents import TrainingDocuments, training_documents
from xmcbench.evaluation.rulers import predictions_to_store
from xmcbench.recipe import ReferenceRecipe, canonical
from xmcbench.training.foreign import ForeignEnvironment, foreign
from xmcbench.training.hardware import environment, peak_rss_bytes, shares_machine
from xmcbench.training.lock import run_lock
from xmcbench.training.predict import write_topk
from xmcbench.training.reference_result import Reference
from xmcbench.training.tfidf import tfidf_of


def reference_run(
    recipe: ReferenceRecipe,
    run_folder: Path,
    sample_folder: Path,
    tokens_folder: Path,
    log: logging.Logger,
    foreign_environment: ForeignEnvironment | None = None,
) -> None:
    """Fit the reference predictor, rank the test documents, and write the run's files."""
    with run_lock(run_folder):
        store, tokens = PreparedStore.open(sample_folder), TokenStore.open(tokens_folder)
        documents = training_documents(
            store, tokens, recipe.hold_out_validation, recipe.data.label_augmentation
        )
        k = predictions_to_store(store, recipe.evaluation.k, recipe.evaluation.rulers)
        if recipe.runner == "foreign":
            result = foreign(recipe, tfidf_of(store, tokens, documents), store.labels, k, foreign_environment)
        else:
            result = RUNNERS[recipe.runner](recipe, store, tokens, documents, k)
        write_json(run_folder / "recipe.json", json.loads(canonical(recipe)))
        write_topk(run_folder / "topk.npz", result.label_Nk, result.score_Nk)
        packages = {f"{recipe.program}: {name}": version for name, version in result.packages.items()}
        write_json(run_folder / "env.json", {**environment("cpu"), **packages})
        timing = {
            "epoch_seconds": [],
            "train_seconds": result.train_seconds,
            "predict_seconds": result.predict_seconds,
            "predict_documents": int(result.label_Nk.shape[0]),
            "peak_rss_bytes": result.peak_rss_bytes or peak_rss_bytes(),
            "memory_bytes": {"weight": result.weight_bytes},
            "parameters": {"classifier": result.parameters, "encoder": 0},
        }
        if shares_machine():
            timing["shared_machine"] = True
        write_json(run_folder / "timing.json", timing)
        log.info(
            "%s: %d weights, %.1f s", recipe.program or recipe.runner, result.parameters, result.train_seconds
        )


def most_frequent(
    recipe: ReferenceRecipe, store: PreparedStore, tokens: TokenStore, documents: TrainingDocuments, k: int
) -> Reference:
    """Predict the most frequent training labels for every document; ties go to the smaller label."""
    began = time.perf_counter()
    counts_L = np.zeros(store.labels, np.int64)
    for split in documents.splits:
        counts_L += np.bincount(split.indices, minlength=store.labels)
    top = np.argsort(-counts_L, kind="stable")[:k]
    trained = time.perf_counter()
    tested = store.split("test").documents
    score = np.repeat(counts_L[top][None].astype(np.float32), tested, axis=0)
    label = np.repeat(top[None].astype(np.int32), tested, axis=0)
    return Reference(label, score, len(top), counts_L.nbytes, trained - began, time.perf_counter() - trained)


def linear_ovr(
    recipe: ReferenceRecipe, store: PreparedStore, tokens: TokenStore, documents: TrainingDocuments, k: int
) -> Reference:
    """Fit one squared-hinge linear classifier a label on TF-IDF of word pieces (LIBLINEAR; the DiSMEC recipe)."""
    began = time.perf_counter()
    features = tfidf_of(store, tokens, documents)
    train_NV, truth_NL = features.train_NV, features.truth_NL.tocsc()
    # Processes, not threads: LIBLINEAR draws from one random state a process, and each label must find it as seeded.
    # Forked ones share the data without a copy.
    with ProcessPoolExecutor(
        recipe.threads, get_context("fork"), initializer=_share, initargs=(train_NV, truth_NL, recipe)
    ) as pool:
        labels = pool.map(_fit, range(store.labels), chunksize=16)
        fitted = list(tqdm(labels, total=store.labels, unit="label", mininterval=1.0))
    indptr = np.concatenate([[0], np.cumsum([len(kept) for kept, _, _ in fitted])])
    weight_LV = sp.csr_matrix(
        (np.concatenate([w for _, w, _ in fitted]), np.concatenate([k for k, _, _ in fitted]), indptr),
        shape=(store.labels, tokens.vocabulary),
    )
    bias_L = np.array([b for _, _, b in fitted], dtype=np.float32)
    trained = time.perf_counter()

    test_NV = features.test_NV
    label_Nk = np.full((test_NV.shape[0], k), -1, np.int32)
    score_Nk = np.full(label_Nk.shape, -np.inf, np.float32)
    for start in range(0, test_NV.shape[0], 512):
        z_BL = (test_NV[start : start + 512] @ weight_LV.T).toarray() + bias_L
        order = np.argsort(-z_BL, axis=1, kind="stable")[:, :k]
        rows = slice(start, start + 512), slice(order.shape[1])
        label_Nk[rows] = order
        score_Nk[rows] = np.take_along_axis(z_BL, order, axis=1)
    size = weight_LV.data.nbytes + weight_LV.indices.nbytes + weight_LV.indptr.nbytes + bias_L.nbytes
    parameters = weight_LV.nnz + store.labels
    return Reference(label_Nk, score_Nk, parameters, size, trained - began, time.perf_counter() - trained)


_shared: dict[str, Any] = {}


def _share(train_NV: sp.csr_matrix, truth_NL: sp.csc_matrix, recipe: ReferenceRecipe) -> None:
    _shared.update(train_NV=train_NV, truth_NL=truth_NL, recipe=recipe)


def _fit(label: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the non-zero weights of one label; a word that no training document has keeps weight zero."""
    from sklearn.svm import LinearSVC

    train_NV, truth_NL, recipe = _shared["train_NV"], _shared["truth_NL"], _shared["recipe"]
    y_N = np.zeros(train_NV.shape[0], np.int8)
    y_N[truth_NL.indices[truth_NL.indptr[label] : truth_NL.indptr[label + 1]]] = 1
    if not y_N.any():
        return np.zeros(0, np.int64), np.zeros(0, np.float32), -1.0
    model = LinearSVC(C=recipe.regularisation, tol=recipe.tolerance, random_state=recipe.seed)
    model.fit(train_NV, y_N)
    weight_V = model.coef_[0].astype(np.float32)
    kept = np.flatnonzero(np.abs(weight_V) > 0.01)  # DiSMEC's pruning threshold
    return kept, weight_V[kept], float(model.intercept_[0])


RUNNERS = {"most_frequent": most_frequent, "linear_ovr": linear_ovr}
