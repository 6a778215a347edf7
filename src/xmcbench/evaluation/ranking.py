"""Metrics that average over documents, from sums that grow a chunk of documents at a time.

Of a document with the true labels y, of which only those with y ≠ ∅ are scored (a missing prediction is wrong):

- P@k = |top-k ∩ y| / k, R@k = |top-k ∩ y| / |y|;
- nDCG@k = Σ of 1/log2(rank + 1) over the hits in top-k, divided by the same sum over the first min(k, |y|) ranks;

and their mean over scored documents. With inverse propensities w (Jain et al. 2016), as ratios of sums over documents:

- PSP@k = Σ w of the hits / Σ w of the best k true labels;
- PSnDCG@k = Σ [DCG of the hits with gains w / I] / Σ [that of the best k true labels / I], I = nDCG's divisor.

A band (see bands.py) takes y and the hits to be those of its labels.

Shapes: B documents of a chunk, k predictions, P positive pairs of a chunk, L labels, C cut-offs (the k's asked for).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunk:
    """label_Bk (int64, −1: none), hit_Bk (bool), and the truth as pairs row_P, label_P with rising rows."""

    label_Bk: np.ndarray
    hit_Bk: np.ndarray
    row_P: np.ndarray
    label_P: np.ndarray


class RankingSums:
    """Sums of every document-averaged metric at the cut-offs `ks`, over all labels or those of member_L (bool)."""

    def __init__(self, ks: tuple[int, ...], weight_L: np.ndarray, member_L: np.ndarray | None = None) -> None:
        self.k_C, self.weight_L, self.member_L = np.array(ks, dtype=np.int64), weight_L, member_L
        self.documents, self.pairs = 0, 0
        self.hits_C = np.zeros(len(ks), dtype=np.int64)
        self.sums = {
            name: np.zeros(len(ks))
            for name in ("recall", "ndcg", "weight", "best weight", "weight dcg", "best weight dcg")
        }

    def add(self, chunk: Chunk) -> None:
        """Add the documents of a chunk."""
        hit_Bk, row_P, label_P = self._restricted(chunk)
        documents, k = hit_Bk.shape
        size_B1 = np.bincount(row_P, minlength=documents)[:, None]
        self.documents += int((size_B1 > 0).sum())
        self.pairs += len(row_P)
        # A document that is not scored has no hits: it adds zeros, whatever it is divided by.
        size_B1 = np.maximum(size_B1, 1)
        discount_k = 1 / np.log2(np.arange(2, k + 2))
        ideal_BC = np.cumsum(discount_k)[np.minimum(size_B1, self.k_C) - 1]
        # −1 reads the last label's weight, but is no hit.
        weight_Bk = np.where(hit_Bk, self.weight_L[chunk.label_Bk], 0.0)
        best_Bk = _best(self.weight_L[label_P], row_P, documents, k)
        hits_BC = self._up_to(hit_Bk.astype(np.int64))
        self.hits_C += hits_BC.sum(axis=0)
        for name, value_BC in (
            ("recall", hits_BC / size_B1),
            ("ndcg", self._up_to(hit_Bk * discount_k) / ideal_BC),
            ("weight", self._up_to(weight_Bk)),
            ("best weight", self._up_to(best_Bk)),
            ("weight dcg", self._up_to(weight_Bk * discount_k) / ideal_BC),
            ("best weight dcg", self._up_to(best_Bk * discount_k) / ideal_BC),
        ):
            self.sums[name] += value_BC.sum(axis=0)

    def values(self) -> dict[str, np.ndarray]:
        """Return metric → value_C in percent; nothing if no document is scored."""
        if not self.documents:
            return {}
        sums = self.sums
        return {
            "P": 100.0 * self.hits_C / (self.k_C * self.documents),
            "R": 100.0 * sums["recall"] / self.documents,
            "nDCG": 100.0 * sums["ndcg"] / self.documents,
            "PSP": _ratio(sums["weight"], sums["best weight"]),
            "PSnDCG": _ratio(sums["weight dcg"], sums["best weight dcg"]),
        }

    def _restricted(self, chunk: Chunk) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.member_L is None:
            return chunk.hit_Bk, chunk.row_P, chunk.label_P
        inside_P = self.member_L[chunk.label_P]
        hit_Bk = chunk.hit_Bk & self.member_L[chunk.label_Bk]
        return hit_Bk, chunk.row_P[inside_P], chunk.label_P[inside_P]

    def _up_to(self, value_Bk: np.ndarray) -> np.ndarray:
        """Return the sums of the first k values, for every k asked for."""
        sum_BC: np.ndarray = np.cumsum(value_Bk, axis=1)[:, self.k_C - 1]
        return sum_BC


def _ratio(reached_C: np.ndarray, best_C: np.ndarray) -> np.ndarray:
    """Return the ratio in percent, 0 where nothing can be had: of two documents or fewer, propensities mean nothing."""
    ratio_C: np.ndarray = np.divide(100.0 * reached_C, best_C, out=np.zeros_like(best_C), where=best_C > 0)
    return ratio_C


def _best(weight_P: np.ndarray, row_P: np.ndarray, documents: int, k: int) -> np.ndarray:
    """Return best_Bk: the k largest weights of each document's true labels, falling, zero where there are fewer."""
    best_Bk = np.zeros((documents, k))
    size_B = np.bincount(row_P, minlength=documents)
    rank_P = np.arange(len(row_P)) - np.repeat(np.cumsum(size_B) - size_B, size_B)
    kept_P = rank_P < k
    best_Bk[row_P[kept_P], rank_P[kept_P]] = weight_P[np.lexsort((-weight_P, row_P))][kept_P]
    return best_Bk
