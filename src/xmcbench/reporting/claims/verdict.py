"""From evidence to a verdict: of a test on one data set, and of the claim.

A test is *met* if the value meets its threshold and the whole interval does; *not met* if the value misses it and the whole
interval does; else *open*. Without an interval the value alone decides. A claim holds if all its tests that were run are
met, does not hold if all are not met, and is mixed otherwise; without any evidence it is not run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xmcbench.reporting.claims.evidence import Evidence, evidence
from xmcbench.reporting.claims.statement import Claim, Comparison
from xmcbench.reporting.experiment_rows import ExperimentRows

VERDICTS = HOLDS, FAILS, MIXED, NOT_RUN = "holds", "does not hold", "mixed", "not run"
MET, NOT_MET, OPEN = "met", "not met", "open"


@dataclass(frozen=True)
class ComparisonResult:
    """A test on one data set."""

    test: Comparison
    dataset: str
    found: Evidence | None
    verdict: str


@dataclass(frozen=True)
class ClaimResult:
    """A claim, each of its tests, and the verdict on all of them."""

    claim: Claim
    verdict: str
    results: Sequence[ComparisonResult]

    @property
    def headline(self) -> ComparisonResult | None:
        """The first test that was run: what a table of claims shows as the value."""
        return next((r for r in self.results if r.found is not None), None)


def judge_comparison(test: Comparison, found: Evidence | None) -> str:
    """Return met, not met, open, or not run."""
    if found is None:
        return NOT_RUN
    ends = [v for v in (found.value, found.low, found.high) if v is not None]
    met = [test.met_by(v) for v in ends]
    if all(met):
        return MET
    # Values on either side of the two bounds of `within` would miss it at both ends, and meet it between.
    straddles = test.within is not None and found.low is not None and found.low < 0 < (found.high or 0)
    return NOT_MET if not any(met) and not straddles else OPEN


def judge(claim: Claim, rows: ExperimentRows) -> ClaimResult:
    """Comparison a claim on every data set that it names."""
    results = []
    for test in claim.tests:
        for dataset in test.datasets:
            found = evidence(rows, test, dataset)
            results.append(ComparisonResult(test, dataset, found, judge_comparison(test, found)))
    verdicts = {r.verdict for r in results} - {NOT_RUN}
    if not verdicts:
        verdict = NOT_RUN
    elif verdicts == {MET}:
        verdict = HOLDS
    elif verdicts == {NOT_MET}:
        verdict = FAILS
    else:
        verdict = MIXED
    return ClaimResult(claim, verdict, results)
