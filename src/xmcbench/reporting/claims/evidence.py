"""The numbers that a test asks for, seed by seed, from the rows of experiments.

A seed counts if every term has a row of it. The interval is Student's, at 95 %, over the seeds' values. Of one seed, P@1
terms at the end of training have the interval of sampling test documents (normal, in pairs: each document's own sum of
hits); it leaves out what another seed would change. Anything else of one seed has no interval.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xmcbench.evaluation.first_hits import unpack
from xmcbench.reporting.claims.statement import Comparison, Term
from xmcbench.reporting.experiment_rows import ExperimentRows

Z95 = 1.959964


@dataclass(frozen=True)
class Evidence:
    """What a test found on a data set: the value, its 95 % interval if there is one, and what that is over."""

    value: float
    low: float | None
    high: float | None
    seeds: int
    interval_of: str = ""


def evidence(rows: ExperimentRows, test: Comparison, dataset: str) -> Evidence | None:
    """Return what the rows say of a test on a data set; None if a run is missing (some seed must have all of them)."""
    frame = _frame(rows, test, dataset)
    seeds = sorted(set(frame["seed"])) if len(frame) else []
    values: list[float] = []
    for seed in seeds:
        its = frame[frame["seed"] == seed]
        value = _along(its, test, seed) if test.along is not None else _point(its, test, "", test.budget)
        if value is not None:
            values.append(value)
    if not values:
        return None
    value = mean(values)
    if len(values) > 1:
        half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
        return Evidence(value, value - half, value + half, len(values), "seeds")
    error = _document_error(frame, test)
    if error is None:
        return Evidence(value, None, None, 1)
    return Evidence(value, value - Z95 * error, value + Z95 * error, 1, "documents")


def _frame(rows: ExperimentRows, test: Comparison, dataset: str) -> pd.DataFrame:
    frame = rows.frame
    budgets = [test.budget, *(test.along.label_spaces if test.along else [])]
    return frame[
        (frame["dataset"] == dataset) & (frame["budget"].isin(budgets)) & frame["split"].isin(SPLITS[test.epochs is not None])
    ]  # fmt: skip


#: Splits that a test reads at the end of training, and of curves.
SPLITS = {False: ("test", "train", ""), True: ("validation", "train", "")}


def _point(its: pd.DataFrame, test: Comparison, point: str, budget: str) -> float | None:
    """Return Σ value (/ Σ over) at a point; None if a row is missing or the divisor is zero."""
    its = its[its["budget"] == budget]
    above = _sum(its, test, test.terms("value"), point)
    if not test.over:
        return above
    below = _sum(its, test, test.terms("over"), point)
    return None if above is None or not below else above / below


def _sum(its: pd.DataFrame, test: Comparison, terms: Sequence[Term], point: str) -> float | None:
    total = 0.0
    for term in terms:
        value = _value(its, test, term, point)
        if value is None:
            return None
        total += term.sign * value
    return total


def _value(its: pd.DataFrame, test: Comparison, term: Term, point: str) -> float | None:
    metric = term.metric or test.metric
    found = its[(its["method"] == test.method_of(term, point)) & (its["metric"] == metric)]
    found = found[found["band"] == test.band]
    if term.metric is None and test.k is not None:
        found = found[found["k"] == test.k]
    if test.epochs is None or term.metric is not None:
        found = found[found["epoch"].isna()]
    else:
        found = found[(found["epoch"] > test.epochs[0]) & (found["epoch"] <= test.epochs[1])]
    return None if found.empty else float(found["value"].mean())


def _along(its: pd.DataFrame, test: Comparison, seed: int) -> float | None:
    """Return what a shape measures: the share of steps its way, the rise of the best inside point, or the slope."""
    along = test.along
    assert along is not None
    if along.points:
        points = [(float(p), _point(its, test, _written(p), test.budget)) for p in along.points]
    else:
        points = [(_labels(its, budget), _point(its, test, "", budget)) for budget in along.label_spaces]
    if any(y is None or math.isnan(x) for x, y in points):
        return None
    xs, ys = [x for x, _ in points], [float(y) for _, y in points if y is not None]
    if along.shape == "slope":
        return slope([math.log2(x) for x in xs], ys)
    if along.shape == "peaks_inside":
        return max(ys[1:-1]) - max(ys[0], ys[-1])
    steps = [b - a if along.shape == "rises" else a - b for a, b in itertools.pairwise(ys)]
    return sum(step >= -along.tolerance for step in steps) / len(steps)


def _written(point: float) -> str:
    return str(point)


def _labels(its: pd.DataFrame, budget: str) -> float:
    found = its[(its["budget"] == budget) & (its["metric"] == "labels")]["value"]
    return float(found.iloc[0]) if len(found) else math.nan


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the points."""
    x, y = mean(xs), mean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def _document_error(frame: pd.DataFrame, test: Comparison) -> float | None:
    """Return the standard error of a sum of P@1 terms (points of percent) over test documents, in pairs, or None."""
    plain = test.metric == "P" and test.k == 1 and test.band == "all"
    terms = test.terms("value")
    if (
        not plain
        or test.over
        or test.along is not None
        or test.epochs is not None
        or any(t.metric for t in terms)
    ):
        return None
    frame = frame[(frame["metric"] == "first_hits") & (frame["budget"] == test.budget)]
    bits = []
    for term in terms:
        written = frame[frame["method"] == term.method]["written"]
        if written.empty:
            return None
        bits.append(term.sign * unpack(str(written.iloc[0])).astype(float))
    if len({len(its) for its in bits}) > 1:
        return None
    sum_N = np.sum(bits, axis=0)
    return 100.0 * float(np.std(sum_N, ddof=1)) / math.sqrt(len(sum_N))
