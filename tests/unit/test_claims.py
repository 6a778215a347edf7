"""Claims: every one of config/claims.yaml can come out true and false, and the numbers behind a verdict are right."""

import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xmcbench.cli import main
from xmcbench.errors import ConfigError, DataError
from xmcbench.evaluation.first_hits import pack, unpack
from xmcbench.plan import Project
from xmcbench.planned_run import COST_BUDGET, in_turns
from xmcbench.reporting.claims.claims_files import claim_row, judge_all, write_claims
from xmcbench.reporting.claims.claims_text import outcomes_text, read_claims, verdicts_text
from xmcbench.reporting.claims.evidence import evidence
from xmcbench.reporting.claims.statement import Claim, Comparison, load_claims
from xmcbench.reporting.claims.verdict import judge, judge_comparison
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.ledger import COLUMNS

from ..conftest import ROOT
from .planted_claims import FALSE, TRUE, planted

CLAIMS = {claim.id: claim for claim in load_claims(ROOT / "config" / "claims.yaml")}


def rows_of(*rows: dict[str, Any]) -> ExperimentRows:
    shared = {"dataset": "d", "seed": 1, "budget": "quick", "metric": "P", "k": 1, "split": "test"}
    frame = pd.DataFrame([{**shared, **row} for row in rows], columns=[*COLUMNS, "written"])
    frame["written"] = frame["written"].astype(object)
    return ExperimentRows(frame, {})


def comparison(**keys: Any) -> Comparison:
    values = {"name": "n", "value": ["a", "-b"], "at_least": 1.0, "datasets": ["d"], **keys}
    return Comparison.model_validate(values)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if CLAIMS[c].tests])
def test_planted_data_makes_each_claim_hold_and_fail(claim: str) -> None:
    assert judge(CLAIMS[claim], planted(CLAIMS[claim], TRUE[claim])).verdict == "holds"
    assert judge(CLAIMS[claim], planted(CLAIMS[claim], FALSE[claim])).verdict == "does not hold"


def test_a_claim_with_one_test_of_each_kind_is_mixed_and_one_without_runs_is_not_run() -> None:
    half = {**TRUE["C13"], **{k: v for k, v in FALSE["C13"].items() if "epoch_seconds" in k}}
    mixed = judge(CLAIMS["C13"], planted(CLAIMS["C13"], half))
    assert mixed.verdict == "mixed"
    kinds = Counter(r.verdict for r in mixed.results)
    assert outcomes_text(claim_row(mixed)) == f"{kinds['met']} met, {kinds['not met']} not met"
    assert judge(CLAIMS["C1"], rows_of()).verdict == "not run"
    untested = Claim(id="X", sentence="s", source="p", scope="", not_run="needs a million labels")
    row = claim_row(judge(untested, rows_of()))
    assert row["verdict"] == "not run" and row["why"] == "needs a million labels" and outcomes_text(row) == ""


def test_the_paper_and_its_relatives_are_all_there_and_their_runs_are_planned(project: Project) -> None:
    assert {f"C{n}" for n in range(1, 22)} <= set(CLAIMS)
    grids = ("ablations", "t2_methods_full", "transformer")
    runs = {(r.budget, r.dataset, r.method) for grid in grids for r in project.runs(grid)}
    runs |= {(COST_BUDGET, r.dataset, r.method) for r in project.cost_runs()}
    runs |= {(in_turns(r.budget), r.dataset, r.method) for r in project.runs("seconds")}
    for claim in CLAIMS.values():
        for test in claim.tests:
            along = test.along
            points = [str(p) for p in along.points] if along and along.points else [""]
            budgets = along.label_spaces if along and along.label_spaces else [test.budget]
            for term in [*test.terms("value"), *test.terms("over")]:
                for dataset, budget, point in (
                    (d, b, p) for d in test.datasets for b in budgets for p in points
                ):
                    assert (budget, dataset, test.method_of(term, point)) in runs, claim.id


def test_seeds_are_paired_and_have_students_interval() -> None:
    pairs = [(10.0, 8.0), (11.0, 8.0), (12.0, 8.0)]
    rows = [
        {"method": m, "seed": s, "value": v}
        for s, pair in enumerate(pairs)
        for m, v in zip("ab", pair, strict=True)
    ]
    # Seed 9 has no b and does not count.
    found = evidence(rows_of(*rows, {"method": "a", "seed": 9, "value": 99.0}), comparison(), "d")
    assert found is not None and found.value == 3.0 and found.seeds == 3 and found.interval_of == "seeds"
    # Differences 2, 3, 4: standard deviation 1, t of two degrees of freedom 4.3027.
    assert found.high == pytest.approx(3 + 4.3027 / math.sqrt(3), abs=1e-3)
    assert judge_comparison(comparison(), found) == "open", "the interval reaches below 1"
    assert judge_comparison(comparison(at_least=0.5), found) == "met"
    assert judge_comparison(comparison(at_least=None, at_most=0.4), found) == "not met"


def test_one_seed_has_the_interval_of_paired_documents() -> None:
    hits = {"a": np.array([1, 1, 1, 0], bool), "b": np.array([1, 0, 0, 0], bool)}
    rows = [{"method": m, "value": 100.0 * h.mean()} for m, h in hits.items()]
    bits = [
        {"method": m, "metric": "first_hits", "value": math.nan, "written": pack(h)} for m, h in hits.items()
    ]
    found = evidence(rows_of(*rows, *bits), comparison(), "d")
    # Per document 0, 1, 1, 0: standard deviation 0.57735, over the root of four.
    assert found is not None and found.value == 50.0 and found.interval_of == "documents"
    assert found.high == pytest.approx(50 + 1.959964 * 28.8675, abs=1e-3)
    without = evidence(rows_of(*rows), comparison(), "d")
    assert without is not None and without.low is None and judge_comparison(comparison(), without) == "met"


def test_a_missing_run_is_no_evidence_and_a_zero_divisor_neither() -> None:
    rows = rows_of({"method": "a", "value": 1.0}, {"method": "c", "value": 0.0})
    assert evidence(rows, comparison(), "d") is None
    assert evidence(rows, comparison(value=["a"]), "elsewhere") is None
    assert evidence(rows, comparison(value=["a"], over=["c"]), "d") is None


@pytest.mark.parametrize(
    ("shape", "ys", "value"),
    [
        ("rises", [1.0, 2.0, 1.9, 3.0], 1.0),  # 0.1 down is within the tolerance
        ("rises", [1.0, 2.0, 1.5, 3.0], 2 / 3),
        ("falls", [3.0, 2.0, 1.0, 0.0], 1.0),
        ("peaks_inside", [1.0, 4.0, 2.0, 3.0], 1.0),
        ("peaks_inside", [1.0, 2.0, 2.0, 3.0], -1.0),
        ("slope", [1.0, 3.0, 5.0, 7.0], 2.0),
    ],
)
def test_shapes_by_hand(shape: str, ys: list[float], value: float) -> None:
    rows = [{"method": f"m@x={2**i}", "value": y} for i, y in enumerate(ys)]
    along = {"points": [1, 2, 4, 8], "shape": shape, "tolerance": 0.15 if shape == "rises" else 0.0}
    found = evidence(rows_of(*rows), comparison(value=["m@x={}"], along=along), "d")
    assert found is not None and found.value == pytest.approx(value)


def test_an_end_of_an_axis_may_be_another_method() -> None:
    """A cut-off of 0 is the run without the objective: 5 is better than any point inside."""
    rows = [{"method": f"m@x={x}", "value": y} for x, y in ((1.0, 3.0), (2.0, 4.0), (3.0, 1.0))]
    along = {"points": [0.0, 1.0, 2.0, 3.0], "instead": {"0.0": "plain"}, "shape": "peaks_inside"}
    test = comparison(value=["m@x={}"], along=along)
    found = evidence(rows_of(*rows, {"method": "plain", "value": 5.0}), test, "d")
    assert found is not None and found.value == pytest.approx(-1)
    assert evidence(rows_of(*rows), test, "d") is None, "without it nothing is said"


def test_within_is_open_when_the_interval_covers_all_and_not_met_beside_it() -> None:
    test = comparison(at_least=None, within=1.0)
    rows = [
        {"method": m, "seed": s, "value": v}
        for m, s, v in (("a", 1, 9.0), ("b", 1, 0.0), ("a", 2, 0.0), ("b", 2, 9.0))
    ]
    wide = evidence(rows_of(*rows), test, "d")
    assert wide is not None and wide.value == 0.0 and judge_comparison(test, wide) == "open"
    off = evidence(rows_of({"method": "a", "value": 9.0}, {"method": "b", "value": 1.0}), test, "d")
    assert judge_comparison(test, off) == "not met"


@given(st.lists(st.booleans(), max_size=60))
def test_bits_come_back(bits: list[bool]) -> None:
    assert unpack(pack(np.array(bits, dtype=bool))).tolist() == bits


def test_files_say_what_was_found_and_why_not(tmp_path: Path) -> None:
    results = judge_all(list(CLAIMS.values()), planted(CLAIMS["C1"], TRUE["C1"]))
    write_claims(results, "somewhere.csv", tmp_path)
    table = pd.read_csv(tmp_path / "claims.csv").set_index("id")
    assert table.loc["C1", "verdict"] == "holds" and table.loc["C1", "n_seeds"] == 1
    assert list(table.index) == list(CLAIMS) and (table["verdict"] == "not run").sum() >= 20
    assert table.loc["C6", "why"] == "the runs that it needs are not there"
    text = (tmp_path / "claims.md").read_text()
    assert "1 holds" in text and "From somewhere.csv." in text
    assert "\n## C1: holds (11 met)\n" in text
    # Every test on every data set is a line, also of a claim that was not run.
    assert "| P@1, dense − fixed fan-in | debian-deps-42k, quick | 10 | ≥ 1 | 1 | met |" in text
    (tmp_path / "claims_tests.csv").unlink()
    with pytest.raises(DataError, match=r"claims_tests\.csv: missing; allowed: both files"):
        read_claims(tmp_path)
    assert "\n## C6: not run\n" in text and "| gain in P@1 at 96 % sparsity | wordnet-33k, quick |  |" in text


def test_mixed_claims_without_any_test_met_are_told_apart_from_the_others() -> None:
    def row(verdict: str, met: int, not_met: int) -> dict[str, str]:
        return {"verdict": verdict, "tests_met": str(met), "tests_not_met": str(not_met)}

    claims = [
        row("mixed", 0, 0),
        row("mixed", 0, 4),
        row("mixed", 1, 1),
        row("mixed", 0, 1),
        row("holds", 2, 0),
    ]
    assert verdicts_text(claims) == (
        "1 holds, 0 does not hold, 4 mixed (of them 1 with open tests alone, 2 with none met and the rest open), 0 not run"
    )
    assert verdicts_text(claims[2:3]) == "0 holds, 0 does not hold, 1 mixed, 0 not run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at_most": 2.0}, r"claims\.yaml: .*one threshold is needed.*allowed: at_least, at_most, within"),
        ({"value": ["a b"]}, r"'a b' is no term; allowed: \[-\]method\[:metric\]"),
        ({"along": {"points": [1, 2], "shape": "rises"}}, r"a shape needs at least 3 points"),
        (
            {"along": {"points": [1, 2, 3], "shape": "rises", "instead": {"1.0": "m"}}},
            r"instead: 1.0 is no point; allowed: 1, 2, 3",
        ),
        (
            {"along": {"points": [1, 2, 3], "shape": "wobbles"}},
            r"along.shape': input should be 'rises', 'falls', 'peaks_inside' or 'slope', found 'wobbles'",
        ),
        ({"metrik": "P"}, r"unknown key '.*metrik'; allowed: .*metric"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    test = {"name": "n", "value": ["a"], "at_least": 1.0, **change}
    claim = {"id": "X", "sentence": "s", "source": "s", "scope": "s", "tests": [test]}
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump({"claims": [claim]}))
    with pytest.raises(ConfigError, match=message):
        load_claims(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": ["wordnet-33k", "wordnet-34k"]}, "unknown datasets: wordnet-34k; allowed: a"),
        ({"budget": "minlm"}, "unknown budgets: minlm; allowed: .*minilm"),
        ({"value": ["dense", "-dens@fan_in=32:PSP"]}, "unknown methods: dens; allowed: .*dense"),
        ({"band": "tails"}, "unknown bands: tails; allowed: all, head, tail, torso"),
        ({"value": ["dense:p"], "metric": "PSP"}, "unknown metrics: p; allowed: P, PSP"),
        ({"metric": "precision"}, "unknown metrics: precision; allowed: P, PSP"),
    ],
)
def test_a_claim_on_what_no_run_can_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    test = {"name": "my test", "value": ["dense"], "at_least": 1.0, **change}
    claim = {"id": "X", "sentence": "s", "source": "s", "scope": "s", "tests": [test]}
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    (config / "claims.yaml").write_text(yaml.safe_dump({"claims": [claim]}))
    kept = tmp_path / "reference"
    kept.mkdir()
    shared = {"dataset": "d", "method": "dense", "seed": 1, "budget": "quick", "split": "test", "value": 1.0}
    ledger = pd.DataFrame([{**shared, "metric": m, "k": 1} for m in ("P", "PSP")], columns=COLUMNS)
    ledger.to_csv(kept / "runs.csv", index=False)
    where = ["--rows", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "o"), "--reference", str(kept)]
    assert main(["--config", str(config), "claims", *where]) == 2
    told = capsys.readouterr().err
    assert re.search(rf"claims\.yaml: claim X: my test: {message}", told), told
    assert not (tmp_path / "o").exists() and [f.name for f in kept.iterdir()] == ["runs.csv"]
