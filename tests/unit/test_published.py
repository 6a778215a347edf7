"""Printed numbers: read with care, shown as sure as they are, and judged beside ours."""

import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from xmcbench.errors import DataError
from xmcbench.reporting.published import COLUMNS, datasets_of, read_published
from xmcbench.reporting.published_figure import draw
from xmcbench.reporting.published_tables import beside, printed, verdict, with_cost, write_published

from ..conftest import ROOT

FOLDER = ROOT / "results" / "published"
LINE = "p,T2,d,M,dense,P,1,50.0,%,,1,1,somewhere,confirmed"


def folder_of(tmp_path: Path, *lines: str, columns: str = ",".join(COLUMNS)) -> Path:
    (tmp_path / "p.csv").write_text("\n".join([columns, *lines]) + "\n")
    return tmp_path


def number(published: pd.DataFrame, **wanted: object) -> float:
    for column, value in wanted.items():
        published = published[published[column] == value]
    assert len(published) == 1
    return float(published["value"].iloc[0])


def test_committed_numbers_are_those_of_the_papers() -> None:
    published = read_published(FOLDER)
    assert (
        number(published, paper="spartex", dataset="amazon3m", method="Dense", metric="peak_memory") == 46.3
    )
    assert (
        number(published, paper="ecml2023", dataset="wiki500k", method="FFI 64 + 100k", metric="P", k=5)
        == 43.37
    )
    assert number(published, paper="haste", dataset="amazon3m", method="HASTE", metric="peak_memory") == 5.67
    assert (
        number(published, paper="elmo", dataset="amazon670k", method="ELMO fp8", metric="epoch_seconds")
        == 245
    )
    assert (
        number(published, paper="renee", dataset="lf-wikiseealso320k", method="Renee", metric="PSP", k=3)
        == 37.07
    )
    assert number(published, paper="baselines", dataset="wiki10", method="Parabel", metric="P", k=1) == 84.17
    wiki500k = published[
        (published["paper"] == "spartex")
        & (published["dataset"] == "wiki500k")
        & (published["metric"] == "P")
    ]
    assert set(wiki500k[wiki500k["method"] == "SPARTEX"]["certainty"]) == {"unverified", "not recovered"}


def test_every_method_of_ours_and_every_data_set_exists() -> None:
    published = read_published(FOLDER)
    methods = {p.stem for p in (ROOT / "config" / "methods").glob("*.yaml")} | {""}
    assert set(published["ours"]) <= methods
    assert set(published["dataset"]) <= {p.stem for p in (ROOT / "config" / "datasets").glob("*.yaml")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            LINE.replace("confirmed", "sure"),
            r"p\.csv, line 2: certainty 'sure'; allowed: confirmed, not recovered, reported, unverified",
        ),
        (LINE.replace(",P,1,", ",Q,1,"), r"line 2: metric 'Q'; allowed: P, PSP, epoch_seconds"),
        (LINE.replace(",P,1,", ",P,,"), r"line 2: k '' of P; allowed: a positive integer"),
        (LINE.replace(",P,1,", ",epochs,1,"), r"line 2: k '1' of epochs; allowed: none"),
        (LINE.replace("50.0", "fifty"), r"line 2: value 'fifty'; allowed: a number"),
        (LINE.replace("50.0", ""), r"line 2: value '' is confirmed; allowed: one or the other"),
        (LINE.replace("confirmed", "not recovered"), r"value '50.0' is not recovered"),
        (LINE + "\n" + LINE, r"line 3: the number of line 2 a second time"),
        (LINE.rpartition(",")[0], r"line 2: not 14 columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_published(folder_of(tmp_path, line))


def test_wrong_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.csv: columns .*; allowed: paper, table"):
        read_published(folder_of(tmp_path, columns="paper,value"))


def test_doubt_is_printed_and_nothing_is_made_up(tmp_path: Path) -> None:
    lines = [
        LINE,
        "p,T2,d,M,dense,P,3,40.25,%,,1,1,memory,unverified",
        "p,T2,d,M,dense,peak_memory,,,GiB,,1,,image,not recovered",
    ]
    folder = folder_of(tmp_path, *lines)
    published = read_published(folder)
    row = printed(published, "d").iloc[0]
    assert (row["P@1"], row["P@3"], row["P@5"]) == ("50", "40.25 ?", "–")
    assert row["Peak memory (GiB)"] == "not recovered"
    assert datasets_of(folder) == ["d"]


def test_ours_beside_published_with_a_verdict(tmp_path: Path) -> None:
    lines = [LINE.replace(",d,", f",{d},") for d in ("near", "high", "low", "none", "quick")]
    lines.append("p,T2,near,M,dense,peak_memory,,,GiB,,1,,image,not recovered")
    published = read_published(folder_of(tmp_path, *lines))
    values = {"near": (49.0, 50.8), "high": (51.5,), "low": (48.0,)}
    ours = [
        {"dataset": d, "method": "dense", "seed": s, "budget": "paper", "metric": "P", "k": 1, "value": v}
        for d, its in values.items()
        for s, v in enumerate(its)
    ]
    # A short budget is no reproduction.
    ours.append({**ours[0], "dataset": "quick", "budget": "quick"})
    table = beside(published, pd.DataFrame(ours)).set_index(["Data", "Metric"])
    verdicts = {d: table.loc[(d, "P@1"), "Verdict"] for d in ("near", "high", "low", "none", "quick")}
    assert verdicts == {
        **{"near": "within tolerance", "high": "above", "low": "below"},
        **{"none": "not run", "quick": "not run"},
    }
    assert table.loc[("near", "P@1"), "Ours"] == "49.90 ± 1.27 (2)"
    assert table.loc[("near", "P@1"), "Difference"] == "-0.10"
    assert table.loc[("near", "peak_memory"), "Verdict"] == "not recovered"
    assert verdict(50.0, 1.0, 1.0) == "within tolerance" and verdict(math.nan, None, 1.0) == "not recovered"


def test_a_few_steps_tell_the_peak_where_no_run_does() -> None:
    run = {"dataset": "wiki10", "method": "dense", "seed": 1, "budget": "paper", "k": pd.NA}
    runs = pd.DataFrame(
        [{**run, "metric": "P", "value": 80.0}, {**run, "metric": "peak_device", "value": 9.0}]
    )
    step = {**run, "budget": "paper_cost", "metric": "peak_device", "value": 8.0, "hardware": "a-gpu"}
    cost = pd.DataFrame(
        [step, {**step, "method": "other"}, {**step, "method": "other", "metric": "step_seconds"}]
    )
    found = with_cost(runs, cost)
    peaks = found[found["metric"] == "peak_device"].set_index("method")["value"].to_dict()
    assert peaks == {"dense": 9.0, "other": 8.0} and list(found.columns) == list(runs.columns)
    assert len(found) == 3


def test_everything_is_written_from_what_is_committed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "published"))
    none = pd.DataFrame(columns=["dataset", "method", "seed", "budget", "metric", "k", "value"])
    write_published(folder, none, tmp_path / "out")
    table = (tmp_path / "out" / "beside.md").read_text()
    assert "76.75 ?" in table and "not recovered" in table and "within" not in table
    assert "| ELMO fp8 | elmo | 50.34 | 44.91 | 40.97 |" in (tmp_path / "out" / "amazon670k.md").read_text()
    figure = draw(read_published(folder))
    assert len(figure.axes) == 6
