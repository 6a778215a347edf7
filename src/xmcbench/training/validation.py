"""What a run says of the held-out documents after every epoch: learning curves, and every choice, are read from it.

Shapes: N validation documents, L labels, k predictions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from xmcbench.data.store import PreparedStore
from xmcbench.evaluation.macro import LabelSums
from xmcbench.evaluation.precision import hits
from xmcbench.evaluation.propensity import inverse_propensity
from xmcbench.evaluation.ranking import Chunk, RankingSums
from xmcbench.evaluation.rulers import filter_of
from xmcbench.recipe import TrainRecipe
from xmcbench.training.group_precision import group_precision
from xmcbench.training.network import Network
from xmcbench.training.predict import predict

KS = (1, 3, 5)
#: Kept of what the sums give: precision, and what the paper says of tail labels (its Fig. 4 and 5).
METRICS = ("P", "PSP", "macro-P")


def validation(
    recipe: TrainRecipe, store: PreparedStore, tokens: tuple[np.ndarray, np.ndarray]
) -> Callable[[Network], list[dict[str, Any]]]:
    """Return the function that scores the held-out documents after an epoch; without any it returns no rows.

    Propensities count the documents that `score` counts: training and validation.
    """
    split, barred = store.split("validation"), filter_of(store, "validation")
    asked = recipe.evaluation
    depth = asked.k + barred.most_of_one_document
    ks = tuple(k for k in KS if k <= min(asked.k, store.labels))
    row_P = np.repeat(np.arange(split.documents), np.diff(split.indptr))
    label_P = np.asarray(split.indices, dtype=np.int64)
    documents = store.split("train").documents + split.documents
    counts_L = store.label_counts("train", "validation")
    weight_L = inverse_propensity(counts_L, documents, asked.propensity.a, asked.propensity.b)

    def validate(network: Network) -> list[dict[str, Any]]:
        if not recipe.training.hold_out_validation or split.documents == 0:
            return []
        label_Nk = predict(network, split, tokens, depth, recipe.training.batch_size).label_Nk
        label_Nk = barred.out_of_predictions(label_Nk).astype(np.int64)
        chunk = Chunk(label_Nk, hits(label_Nk, split.indptr, split.indices), row_P, label_P)
        ranking, labels = RankingSums(ks, weight_L), LabelSums(ks, store.labels)
        ranking.add(chunk)
        labels.add(chunk)
        values = {**ranking.values(), **labels.values()}
        rows = [
            {"metric": metric, "k": k, "value": float(values[metric][place])}
            for metric in METRICS
            if metric in values
            for place, k in enumerate(ks)
        ]
        return rows + group_precision(network, split, tokens, KS, recipe.training.batch_size)

    return validate
