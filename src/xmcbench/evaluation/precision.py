"""P@k and nDCG@k, in percent, over documents that have labels.

Shapes: N documents, k predictions, P positive pairs. A prediction of −1 is no prediction, and wrong.
"""

import numpy as np


def hits(label_Nk: np.ndarray, indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return hit_Nk (bool): whether each prediction is a true label of its document."""
    documents = len(indptr) - 1
    width = int(max(indices.max(initial=0), label_Nk.max(initial=0))) + 2
    row_P = np.repeat(np.arange(documents, dtype=np.int64), np.diff(indptr))
    truth_P = np.sort(row_P * width + indices)
    # −1 maps to the last column of the row before, which no label has.
    key_Nk = np.arange(documents, dtype=np.int64)[:, None] * width + label_Nk
    place_Nk = np.minimum(np.searchsorted(truth_P, key_Nk), max(0, len(truth_P) - 1))
    found: np.ndarray = (label_Nk >= 0) & (len(truth_P) > 0)
    if len(truth_P):
        found &= truth_P[place_Nk] == key_Nk
    return found


def precision_at_k(label_Nk: np.ndarray, indptr: np.ndarray, indices: np.ndarray, k: int) -> float:
    """Return P@k = mean over scored documents of |top-k ∩ truth| / k."""
    scored_N = np.diff(indptr) > 0
    if not scored_N.any():
        return 0.0
    hit_Nk = hits(label_Nk[:, :k], indptr, indices)[scored_N]
    return 100.0 * float(hit_Nk.sum()) / (k * int(scored_N.sum()))


def ndcg_at_k(label_Nk: np.ndarray, indptr: np.ndarray, indices: np.ndarray, k: int) -> float:
    """Return nDCG@k: gains 1/log2(rank + 1), divided by the gain of a perfect ranking of min(k, |truth|) labels."""
    size_N = np.diff(indptr)
    scored_N = size_N > 0
    if not scored_N.any():
        return 0.0
    discount_k = 1 / np.log2(np.arange(2, k + 2))
    best_k = np.cumsum(discount_k)
    hit_Nk = hits(label_Nk[:, :k], indptr, indices)[scored_N]
    gain_N = hit_Nk @ discount_k[: hit_Nk.shape[1]]
    return 100.0 * float(np.mean(gain_N / best_k[np.minimum(size_N[scored_N], k) - 1]))
