"""Streaming metrics by hand, against plain Python that knows nothing of arrays, and against another library."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.evaluation.bands import members
from xmcbench.evaluation.precision import ndcg_at_k, precision_at_k
from xmcbench.evaluation.propensity import inverse_propensity, psp_at_k
from xmcbench.evaluation.score import score_topk

Truth = list[list[int]]
Records = dict[tuple[str, int | None, str], float]


def csr(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    indptr = np.cumsum([0] + [len(t) for t in truth])
    return indptr, np.array([i for t in truth for i in sorted(t)], dtype=np.int32)


def scored(
    top: np.ndarray, truth: Truth, weights: np.ndarray, counts: np.ndarray, ks: tuple[int, ...], **more: Any
) -> Records:
    rows = score_topk(top, *csr(truth), weights, counts, ks, **more)
    found = {(row["metric"], row["k"], row["band"]): row["value"] for row in rows}
    assert len(found) == len(rows), "a record stands twice"
    return found


# Five labels: 0 is head, 1 and 2 torso, 3 and 4 tail.
COUNTS = np.array([101, 100, 6, 5, 0])
WEIGHTS = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
TRUTH: Truth = [[0, 3], [1], [], [3, 4]]
TOP = np.array([[3, 1, 0], [0, 1, -1], [4, 3, 2], [0, 4, 2]], dtype=np.int32)


def test_bands_by_hand() -> None:
    masks = members(COUNTS)
    assert {band: np.flatnonzero(mask).tolist() for band, mask in masks.items()} == {
        "head": [0],
        "torso": [1, 2],
        "tail": [3, 4],
    }


def test_ranking_metrics_by_hand() -> None:
    value = scored(TOP, TRUTH, WEIGHTS, COUNTS, (1, 2, 3))
    d = [1.0, 1 / math.log2(3), 0.5]
    # The third document has no labels: whatever was predicted for it is neither right nor wrong.
    assert value["scored_documents", None, "all"] == 3 and value["true_pairs", None, "all"] == 5
    assert value["P", 2, "all"] == pytest.approx(100 * (1 + 1 + 1) / (2 * 3))
    assert value["R", 2, "all"] == pytest.approx(100 * (1 / 2 + 1 + 1 / 2) / 3)
    assert value["R", 3, "all"] == pytest.approx(100 * (1 + 1 + 1 / 2) / 3)
    ideal = d[0] + d[1]
    assert value["nDCG", 3, "all"] == pytest.approx(100 * ((d[0] + d[2]) / ideal + d[1] + d[1] / ideal) / 3)
    # Best two by weight: 5 + 1 of the first document, 2 of the second, 8 + 5 of the fourth.
    assert value["PSP", 2, "all"] == pytest.approx(100 * (5 + 2 + 8) / (6 + 2 + 13))
    reached = 5 * d[0] / ideal + 2 * d[1] + 8 * d[1] / ideal
    best = (5 * d[0] + 1 * d[1]) / ideal + 2 + (8 * d[0] + 5 * d[1]) / ideal
    assert value["PSnDCG", 2, "all"] == pytest.approx(100 * reached / best)


def test_macro_metrics_by_hand() -> None:
    value = scored(TOP, TRUTH, WEIGHTS, COUNTS, (1, 3))
    # In top-3 of scored documents: label 0 thrice, once right; 1 twice, once right; 2 once, wrong; 3 and 4 once, right.
    assert value["macro-P", 3, "all"] == pytest.approx(100 * (1 / 3 + 1 / 2 + 0 + 1 + 1) / 5)
    assert value["macro-R", 3, "all"] == pytest.approx(100 * (1 + 1 + 0 + 1 / 2 + 1) / 5)
    assert value["macro-F1", 3, "all"] == pytest.approx(100 * (2 / 4 + 2 / 3 + 0 + 2 / 3 + 1) / 5)
    # Label 2 has no test document: it can be missed by nobody.
    assert value["coverage", 1, "all"] == pytest.approx(100 * 1 / 4)
    assert value["coverage", 3, "all"] == pytest.approx(100)


def test_a_band_restricts_truth_and_hits_and_keeps_ranks() -> None:
    value = scored(TOP, TRUTH, WEIGHTS, COUNTS, (1, 2))
    # Tail truth: [3] and [3, 4]. The fourth document's 4 is second although its first prediction is no tail label.
    assert value["labels", None, "tail"] == 2 and value["scored_documents", None, "tail"] == 2
    assert value["P", 1, "tail"] == pytest.approx(100 * 1 / 2)
    assert value["P", 2, "tail"] == pytest.approx(100 * 2 / 4)
    assert value["R", 2, "tail"] == pytest.approx(100 * (1 + 1 / 2) / 2)
    assert value["PSP", 2, "tail"] == pytest.approx(100 * (5 + 8) / (5 + 13))
    assert value["macro-R", 2, "tail"] == pytest.approx(100 * (1 / 2 + 1) / 2)
    assert value["P", 2, "head"] == 0.0 and value["P", 2, "torso"] == pytest.approx(50)


def test_a_band_without_scored_documents_has_no_record() -> None:
    value = scored(TOP, [[3], [4], [], [3]], WEIGHTS, COUNTS, (1,))
    assert {band for _, _, band in value} == {"all", "tail"}
    assert scored(TOP, [[], [], [], []], WEIGHTS, COUNTS, (1,)) == {}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Truth, np.ndarray, np.ndarray]:
    """Draw truth, top-4 (with missing predictions), and training documents of every label."""
    labels = draw(st.integers(5, 14))
    one = st.lists(st.integers(0, labels - 1), unique=True, max_size=labels)
    truth = draw(st.lists(one, min_size=1, max_size=7))
    top = np.full((len(truth), 4), -1, dtype=np.int32)
    for row in top:
        picked = draw(st.lists(st.integers(0, labels - 1), unique=True, max_size=4))
        row[: len(picked)] = picked
    counts = draw(
        st.lists(st.sampled_from([0, 1, 5, 6, 50, 100, 101, 900]), min_size=labels, max_size=labels)
    )
    return truth, top, np.array(counts)


def brute_force(truth: Truth, top: Truth, weights: list[float], band: set[int], k: int) -> dict[str, float]:
    """Say the definitions once more, one document and one label at a time."""
    gain = [1 / math.log2(rank + 2) for rank in range(k)]
    documents = [(set(t), p[:k]) for t, p in zip(truth, top, strict=True) if t]
    inside = [(t & band, p) for t, p in documents if t & band]
    n = len(inside)
    right = [[i in t for i in p] for t, p in inside]
    ideal = [sum(gain[: len(t)]) for t, _ in inside]
    best = [sorted((weights[i] for i in t), reverse=True)[:k] for t, _ in inside]
    weight = [[weights[i] if i in t else 0.0 for i in p] + [0.0] * (k - len(p)) for t, p in inside]
    dcg = [sum(g * w for g, w in zip(gain, its, strict=True)) for its in weight]
    best_dcg = [sum(g * w for g, w in zip(gain, its, strict=False)) for its in best]
    hit = {label: sum(label in t and label in p for t, p in documents) for label in band}
    made = {label: sum(label in p for _, p in documents) for label in band}
    true = {label: sum(label in t for t, _ in documents) for label in band}
    return {
        "P": sum(map(sum, right)) / (k * n),
        "R": sum(sum(r) / len(t) for r, (t, _) in zip(right, inside, strict=True)) / n,
        "nDCG": sum(
            sum(g for g, yes in zip(gain, r, strict=False) if yes) / i
            for r, i in zip(right, ideal, strict=True)
        )
        / n,
        "PSP": sum(map(sum, weight)) / sum(map(sum, best)),
        "PSnDCG": sum(d / i for d, i in zip(dcg, ideal, strict=True))
        / sum(d / i for d, i in zip(best_dcg, ideal, strict=True)),
        "macro-P": sum(hit[i] / made[i] for i in band if made[i]) / len(band),
        "macro-R": sum(hit[i] / true[i] for i in band if true[i]) / len(band),
        "macro-F1": sum(2 * hit[i] / (made[i] + true[i]) for i in band if made[i] + true[i]) / len(band),
        "coverage": sum(hit[i] > 0 for i in band) / sum(true[i] > 0 for i in band),
    }


@given(case=cases(), chunk=st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_every_metric_and_band_equals_brute_force_at_any_chunk(
    case: tuple[Truth, np.ndarray, np.ndarray], chunk: int
) -> None:
    truth, top, counts = case
    weights = inverse_propensity(counts, documents=1000, a=0.55, b=1.5)
    found = scored(top, truth, weights, counts, (1, 2, 3, 4), chunk=chunk)
    lists = [[i for i in row if i >= 0] for row in top.tolist()]
    bands = {
        "all": set(range(len(counts))),
        "head": {i for i, n in enumerate(counts) if n > 100},
        "torso": {i for i, n in enumerate(counts) if 5 < n <= 100},
        "tail": {i for i, n in enumerate(counts) if n <= 5},
    }
    expected: Records = {}
    for band, its in bands.items():
        if not any(set(t) & its for t in truth):
            continue
        expected["labels", None, band] = len(its)
        expected["scored_documents", None, band] = sum(bool(set(t) & its) for t in truth)
        expected["true_pairs", None, band] = sum(len(set(t) & its) for t in truth)
        for k in (1, 2, 3, 4):
            values = brute_force(truth, lists, weights.tolist(), its, k)
            expected |= {(metric, k, band): 100 * value for metric, value in values.items()}
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_streaming_equals_the_whole_array_functions(case: tuple[Truth, np.ndarray, np.ndarray]) -> None:
    truth, top, counts = case
    weights = inverse_propensity(counts, documents=1000, a=0.55, b=1.5)
    found = scored(top, truth, weights, counts, (1, 3), chunk=2)
    if not any(truth):
        return
    for k in (1, 3):
        assert found["P", k, "all"] == precision_at_k(top, *csr(truth), k)
        assert found["nDCG", k, "all"] == pytest.approx(ndcg_at_k(top, *csr(truth), k), rel=1e-12)
        assert found["PSP", k, "all"] == pytest.approx(psp_at_k(top, *csr(truth), weights, k), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_napkinxc_agrees(seed: int) -> None:
    """napkinXC averages over all documents, scored or not, and counts labels up to the largest that it meets.

    Documents without labels are therefore left out before it is asked, and the largest label is a true one. Its
    propensity-scored metrics are, like ours, ratios of sums; its nDCG divides by min(k, labels of the document) ranks.
    """
    napkinxc = pytest.importorskip("napkinxc.metrics")
    rng = np.random.default_rng(seed)
    labels, k = 40, 5
    truth = [rng.choice(labels, rng.integers(0, 9), replace=False).tolist() for _ in range(300)] + [
        [labels - 1]
    ]
    # Half of each document's predictions are drawn from its own labels, so that every rank has hits.
    top = np.full((len(truth), k), -1)
    for row, its in zip(top, truth, strict=True):
        pool = list(dict.fromkeys([*its[: rng.integers(0, 4)], *rng.permutation(labels).tolist()]))
        drawn = rng.permutation(pool[: rng.integers(1, k + 1)])
        row[: len(drawn)] = drawn
    weights = inverse_propensity(rng.integers(0, 400, labels), documents=5000, a=0.55, b=1.5)
    found = scored(top, truth, weights, np.zeros(labels, int), tuple(range(1, k + 1)), chunk=64)
    asked = [(t, [i for i in p if i >= 0]) for t, p in zip(truth, top.tolist(), strict=True) if t]
    assert len(asked) < len(truth), "a case without documents to leave out shows nothing"
    true, predicted = [t for t, _ in asked], [p for _, p in asked]
    theirs = {
        "P": napkinxc.precision_at_k(true, predicted, k),
        "R": napkinxc.recall_at_k(true, predicted, k),
        "nDCG": napkinxc.ndcg_at_k(true, predicted, k),
        "PSP": napkinxc.psprecision_at_k(true, predicted, weights, k),
        "PSnDCG": napkinxc.psndcg_at_k(true, predicted, weights, k),
        "coverage": napkinxc.coverage_at_k(true, predicted, k),
    }
    for metric, values in theirs.items():
        ours = [found[metric, place, "all"] for place in range(1, k + 1)]
        assert ours == pytest.approx((100 * values).tolist(), rel=0, abs=1e-9), metric
    macro = {
        "macro-P": "macro_precision_at_k",
        "macro-R": "macro_recall_at_k",
        "macro-F1": "macro_f1_measure_at_k",
    }
    for metric, name in macro.items():
        values = getattr(napkinxc, name)(true, predicted, k)
        ours = [found[metric, place, "all"] for place in range(1, k + 1)]
        assert ours == pytest.approx((100 * values).tolist(), rel=0, abs=1e-9), metric
