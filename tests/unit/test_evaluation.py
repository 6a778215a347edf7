"""Metrics by hand and against brute force."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.errors import DataError
from xmcbench.evaluation.precision import ndcg_at_k, precision_at_k
from xmcbench.evaluation.propensity import inverse_propensity, psp_at_k
from xmcbench.evaluation.score import read_topk

INDPTR = np.array([0, 2, 3, 3])
INDICES = np.array([1, 4, 0])
TOP = np.array([[4, 2, 1], [3, 0, -1], [0, 1, 2]])


def test_precision_by_hand() -> None:
    # The third document has no labels and is not scored.
    assert precision_at_k(TOP, INDPTR, INDICES, 1) == pytest.approx(50.0)
    assert precision_at_k(TOP, INDPTR, INDICES, 3) == pytest.approx(100 * (2 / 3 + 1 / 3) / 2)


def test_ndcg_by_hand() -> None:
    first = (1 + 1 / 2) / (1 + 1 / math.log2(3))
    second = 1 / math.log2(3)
    assert ndcg_at_k(TOP, INDPTR, INDICES, 3) == pytest.approx(100 * (first + second) / 2)


def test_propensity_by_hand() -> None:
    weight_L = inverse_propensity(np.array([0, 3]), documents=1000, a=0.55, b=1.5)
    c = (math.log(1000) - 1) * 2.5**0.55
    assert weight_L == pytest.approx([1 + c * 1.5**-0.55, 1 + c * 4.5**-0.55])
    weights = np.array([1.0, 2.0, 1.0, 1.0, 8.0])
    # At 1: label 4 (weight 8) is hit; the best would have been 8 and 1.
    assert psp_at_k(TOP, INDPTR, INDICES, weights, 1) == pytest.approx(100 * 8 / 9)
    assert psp_at_k(TOP, INDPTR, INDICES, weights, 3) == pytest.approx(100 * 11 / 11)


@given(data=st.data(), documents=st.integers(1, 6), labels=st.integers(3, 12), k=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_metrics_equal_brute_force(data: st.DataObject, documents: int, labels: int, k: int) -> None:
    one = st.lists(st.integers(0, labels - 1), unique=True, max_size=labels)
    truth = [sorted(data.draw(one)) for _ in range(documents)]
    top = np.full((documents, 3), -1)
    for row in top:
        picked = data.draw(st.lists(st.integers(0, labels - 1), unique=True, max_size=3))
        row[: len(picked)] = picked
    indptr = np.cumsum([0] + [len(t) for t in truth])
    indices = np.array([i for t in truth for i in t], dtype=np.int64)
    weights = 1.0 + np.arange(labels) ** 1.5
    scored = [(t, p) for t, p in zip(truth, top.tolist(), strict=True) if t]
    if not scored:
        assert precision_at_k(top, indptr, indices, k) == 0.0
        return
    precision = sum(len(set(t) & set(p[:k])) / k for t, p in scored) / len(scored)
    assert precision_at_k(top, indptr, indices, k) == pytest.approx(100 * precision)
    gains = [
        sum(1 / math.log2(r + 2) for r, i in enumerate(p[:k]) if i in t)
        / sum(1 / math.log2(r + 2) for r in range(min(k, len(t))))
        for t, p in scored
    ]
    assert ndcg_at_k(top, indptr, indices, k) == pytest.approx(100 * sum(gains) / len(gains))
    reached = sum(weights[i] for t, p in scored for i in p[:k] if i in t)
    best = sum(sum(sorted((weights[i] for i in t), reverse=True)[:k]) for t, p in scored)
    assert psp_at_k(top, indptr, indices, weights, k) == pytest.approx(100 * reached / best)


def test_predictions_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "topk.npz"
    np.savez(file, label=np.array([[0, 7]], dtype=np.int32), score=np.zeros((1, 2), np.float32))
    with pytest.raises(DataError, match=r"topk\.npz: label 7; allowed: -1 \(none\) … 4"):
        read_topk(file, documents=1, labels=5)
    with pytest.raises(DataError, match=r"shape \(1, 2\); allowed: 2 documents"):
        read_topk(file, documents=2, labels=9)
    file.write_bytes(b"not an archive")
    with pytest.raises(DataError, match="no stored predictions"):
        read_topk(file, documents=1, labels=5)
