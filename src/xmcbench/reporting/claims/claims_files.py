"""Claims as files: one row a claim (claims.csv), one a comparison and data set (claims_tests.csv), and Markdown."""

from collections.abc import Sequence
from pathlib import Path

from xmcbench.atomic import write_text
from xmcbench.reporting.claims.claims_text import claims_sections, verdicts_text
from xmcbench.reporting.claims.statement import Claim
from xmcbench.reporting.claims.verdict import NOT_RUN, ClaimResult, ComparisonResult, judge
from xmcbench.reporting.collect import Row, csv_text
from xmcbench.reporting.experiment_rows import ExperimentRows

COLUMNS = [
    "id",
    "verdict",
    "value",
    "threshold",
    "ci_low",
    "ci_high",
    "n_seeds",
    "comparison",
    "dataset",
    "budget",
    "tests_met",
    "tests_not_met",
    "tests_open",
    "tests_not_run",
    "scope",
    "source",
    "sentence",
    "why",
]
TEST_COLUMNS = [
    "id",
    "comparison",
    "dataset",
    "budget",
    "verdict",
    "value",
    "threshold",
    "ci_low",
    "ci_high",
    "interval_of",
    "n_seeds",
]


def judge_all(claims: Sequence[Claim], rows: ExperimentRows) -> list[ClaimResult]:
    """Return every claim's result, in their order."""
    return [judge(claim, rows) for claim in claims]


def write_claims(
    results: Sequence[ClaimResult], rows_file: str, folder: Path, tables_alone: bool = False
) -> None:
    """Write claims.csv and claims_tests.csv into a folder, and claims.md; rows_file: what the verdicts rest on."""
    claims = [claim_row(result) for result in results]
    write_text(folder / "claims.csv", csv_text(COLUMNS, claims))
    tests = [_test_row(result.claim.id, r) for result in results for r in result.results]
    write_text(folder / "claims_tests.csv", csv_text(TEST_COLUMNS, tests))
    if not tables_alone:
        write_text(folder / "claims.md", _markdown(claims, tests, rows_file))


def claim_row(result: ClaimResult) -> Row:
    """Return a claim's row: the verdict on all its tests, and the numbers of the first that was run."""
    claim, head = result.claim, result.headline
    counts = {v: sum(r.verdict == v for r in result.results) for v in ("met", "not met", "open", NOT_RUN)}
    row: Row = {
        "id": claim.id,
        "verdict": result.verdict,
        "tests_met": counts["met"],
        "tests_not_met": counts["not met"],
        "tests_open": counts["open"],
        "tests_not_run": counts[NOT_RUN],
        "scope": claim.scope,
        "source": claim.source,
        "sentence": claim.sentence,
        "why": claim.not_run or ("the runs that it needs are not there" if head is None else ""),
    }
    return row if head is None else {**row, **_numbers(head)}


def _numbers(result: ComparisonResult) -> Row:
    found = result.found
    return {
        "comparison": result.test.name,
        "dataset": result.dataset,
        "budget": result.test.budget,
        "threshold": result.test.threshold,
        "value": None if found is None else round(found.value, 6),
        "ci_low": None if found is None or found.low is None else round(found.low, 6),
        "ci_high": None if found is None or found.high is None else round(found.high, 6),
        "n_seeds": 0 if found is None else found.seeds,
    }


def _test_row(claim: str, result: ComparisonResult) -> Row:
    interval = "" if result.found is None else result.found.interval_of
    return {"id": claim, **_numbers(result), "verdict": result.verdict, "interval_of": interval}


def _markdown(claims: Sequence[Row], tests: Sequence[Row], rows_file: str) -> str:
    told = f"{len(claims)} claims: {verdicts_text(claims)}. From {rows_file}."
    return f"# Does the paper hold?\n\n{told}\n\n{claims_sections(claims, tests)}"
