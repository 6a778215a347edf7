"""Claims in words: each with all of its tests, from the rows of claims.csv and claims_tests.csv."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xmcbench.errors import DataError
from xmcbench.reporting.claims.verdict import MIXED, VERDICTS
from xmcbench.reporting.tables import markdown

#: A row of either file; numbers may be text, and what is missing None or nothing.
Row = Mapping[str, Any]


def read_claims(folder: Path) -> tuple[list[Row], list[Row]]:
    """Return the rows of claims.csv and claims_tests.csv of a folder, none before they are written; DataError if one is missing."""
    files = [folder / "claims.csv", folder / "claims_tests.csv"]
    missing = [file for file in files if not file.is_file()]
    if len(missing) == 2:
        return [], []
    if missing:
        raise DataError(f"{missing[0]}: missing; allowed: both files, as `xmcbench claims` writes them")
    found: list[list[Row]] = []
    for file in files:
        with open(file, encoding="utf-8", newline="") as text:
            found.append(list(csv.DictReader(text)))
    return found[0], found[1]


def value_text(row: Row) -> str:
    """Return a value with its interval, or nothing."""
    value, low, high = (_number(row, name) for name in ("value", "ci_low", "ci_high"))
    if value is None:
        return ""
    return f"{value:.3g}" if low is None or high is None else f"{value:.3g} ({low:.3g} … {high:.3g})"


def outcomes_text(row: Row) -> str:
    """Return how many of a claim's tests came out how, from its row: `7 met, 2 open`; nothing if none was run.

    A mixed claim whose every test is open is one that more seeds may decide; one with tests met and not met is not.
    """
    kinds = {"met": "tests_met", "not met": "tests_not_met", "open": "tests_open"}
    return ", ".join(f"{row[column]} {kind}" for kind, column in kinds.items() if int(row[column] or 0))


def verdicts_text(claims: Sequence[Row]) -> str:
    """Return how many claims have which verdict, and of the mixed ones how many have no test met: undecided, or missed."""
    verdicts = [claim["verdict"] for claim in claims]
    unmet = [c for c in claims if c["verdict"] == MIXED and not int(c["tests_met"])]
    missed = sum(int(claim["tests_not_met"]) > 0 for claim in unmet)
    notes = {MIXED: f"{len(unmet) - missed} with open tests alone, {missed} with none met and the rest open"}
    return ", ".join(
        f"{verdicts.count(v)} {v}" + (f" (of them {notes[v]})" if unmet and v in notes else "")
        for v in VERDICTS
    )


def tests_table(tests: Sequence[Row]) -> pd.DataFrame:
    """Return what each test compared, on which data, and what came out."""
    columns = ["Test", "Data", "Value (95 %)", "Threshold", "Seeds", "Outcome"]
    rows = [
        [t["comparison"], f"{t['dataset']}, {t['budget']}", value_text(t), t["threshold"], t["n_seeds"], t["verdict"]]
        for t in tests
    ]  # fmt: skip
    return pd.DataFrame([[str(cell) for cell in row] for row in rows], columns=columns)


def claims_sections(claims: Sequence[Row], tests: Sequence[Row]) -> str:
    """Return a section of Markdown for each claim: its verdict, its words, and every test."""
    sections = []
    for claim in claims:
        its = [t for t in tests if t["id"] == claim["id"]]
        outcomes = outcomes_text(claim)
        sections.append(
            f"## {claim['id']}: {claim['verdict']}{f' ({outcomes})' if outcomes else ''}\n\n"
            f"{claim['sentence']} ({claim['source']})"
            + (f" Scope: {claim['scope']}." if claim["scope"] else "")
        )
        if claim["why"]:
            sections.append(f"Not run: {claim['why']}.")
        if its:
            sections.append(markdown(tests_table(its)).rstrip())
    return "\n\n".join(sections) + "\n"


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return None if value is None or value == "" else float(value)
