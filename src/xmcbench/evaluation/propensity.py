"""Propensity-scored precision (Jain et al. 2016), normalised by the best achievable, in percent.

Shapes: N documents, L labels, k predictions, P positive pairs.
"""

import numpy as np

from xmcbench.evaluation.precision import hits


def inverse_propensity(counts_L: np.ndarray, documents: int, a: float, b: float) -> np.ndarray:
    """Return w_L = 1 + C·(n_l + B)^−A with C = (ln N − 1)(B + 1)^A; n_l counts training documents, N all of them."""
    c = (np.log(documents) - 1) * (b + 1) ** a
    weight_L: np.ndarray = 1 + c * (counts_L + b) ** -a
    return weight_L


def psp_at_k(
    label_Nk: np.ndarray, indptr: np.ndarray, indices: np.ndarray, weight_L: np.ndarray, k: int
) -> float:
    """Return PSP@k = Σ_N Σ_{hits in top-k} w / Σ_N Σ_{best k true labels} w (the XMC repository's ratio)."""
    weight_Nk = np.where(label_Nk[:, :k] >= 0, weight_L[label_Nk[:, :k]], 0.0)
    reached = float((weight_Nk * hits(label_Nk[:, :k], indptr, indices)).sum())
    documents = len(indptr) - 1
    row_P = np.repeat(np.arange(documents), np.diff(indptr))
    truth_weight_P = weight_L[indices]
    # Sorted by document, then falling weight: the first k of each document are the best that could be had.
    order = np.lexsort((-truth_weight_P, row_P))
    rank_P = np.arange(len(row_P)) - np.repeat(np.asarray(indptr[:-1]), np.diff(indptr))
    best = float(truth_weight_P[order][rank_P < k].sum())
    return 100.0 * reached / best if best > 0 else 0.0
