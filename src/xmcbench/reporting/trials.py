"""What a random search found: the best trial of a method, and whether it is better than the method as it stands by more than chance."""

from collections.abc import Mapping, Sequence

from xmcbench.errors import DataError
from xmcbench.reporting.ledger import Row

#: Points of a trial's score by which it must beat trial 0, the method as it stands, to take its place. Two trials of a
#: method on the 2,350 validation documents of wordnet-33k differ by chance of the documents with a standard error of 0.26 to
#: 0.37 points (as measured in pairs, on trials near each other); once in twenty searches the best of seven that are as good as
#: trial 0 passes 2.45 of them, the best of fourteen 2.7.
MARGIN = 0.8

#: Method → trial → mean of P@1, P@3 and P@5.
Scores = Mapping[str, Mapping[str, float]]


def trial_scores(rows: Sequence[Row], twins: Mapping[str, str]) -> Scores:
    """Return method → trial → score: its own trials in their order, then its twin's but for the twin's trial 0, its own once more.

    twins: method → the other whose trials are its own too (`xmcbench.method.twins_of`). Raises DataError for a row that is of no
    trial.
    """
    own = _own_scores(rows)
    found: dict[str, dict[str, float]] = {}
    for method in sorted(own):
        found[method] = {f"{method}@trial={n}": own[method][n] for n in sorted(own[method])}
        if (twin := twins.get(method)) in own:
            found[method] |= {f"{twin}@trial={n}": own[twin][n] for n in sorted(own[twin]) if n > 0}
    return found


def best_trials(scores: Scores) -> dict[str, str]:
    """Return the best trial of every method: highest mean of P@1, P@3 and P@5; ties to the earlier."""
    return {method: _best(its) for method, its in scores.items()}


def kept_trials(scores: Scores) -> dict[str, str]:
    """Return the trial that each method should be: the best one if it beats trial 0 by more than MARGIN, else trial 0.

    Methods whose trial 0 is not there are left out.
    """
    kept = {}
    for method, its in scores.items():
        if (first := f"{method}@trial=0") in its:
            best = _best(its)
            kept[method] = best if its[best] > its[first] + MARGIN else first
    return kept


def _own_scores(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    score: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["metric"] == "P":
            method, found, trial = row["method"].partition("@trial=")
            if not found:
                raise DataError(f"method {method!r} is no trial; allowed: METHOD@trial=N")
            its = score.setdefault(method, {})
            its[int(trial)] = its.get(int(trial), 0.0) + float(row["value"]) / 3
    return score


def _best(its: Mapping[str, float]) -> str:
    return max(its, key=lambda trial: its[trial])  # the first of equal ones
