"""Rank-frequency rows of a real store and its synthetic twin, and the figure drawn from them alone."""

import csv
import hashlib
from pathlib import Path

import pytest

from xmcbench.cli import main
from xmcbench.reporting.frequency_figure import draw_frequency_figure

from ..conftest import SmokeData


def test_from_a_prepared_set_to_a_figure(smoke: SmokeData, tmp_path: Path) -> None:
    out = tmp_path / "results" / "collected" / "synthetic_realism.csv"
    asked = ["--prepared", str(smoke.sample), "--like", "wiki10", "--out", str(out)]
    assert main(["label-frequencies", *asked]) == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    said = {(r["dataset"], r["source"], r["statistic"]): r["value"] for r in rows if not r["rank"]}
    real, twin = (
        {k[2]: float(v) for k, v in said.items() if k[:2] == ("wordnet-33k", source)}
        for source in ("real", "synthetic")
    )
    assert real["documents"] == 3_656 and real["labels per document"] == pytest.approx(
        9_509 / 3_656, abs=1e-4
    )
    assert twin == pytest.approx(real, rel=0.01)
    assert said["Wiki10-31K", "published", "documents per label"] == "8.52"
    curve = [(int(r["rank"]), int(r["value"])) for r in rows if r["rank"] and r["source"] == "real"]
    assert curve[0][0] == 1 and curve[-1][0] == real["labels"]
    assert [v for _, v in curve] == sorted((v for _, v in curve), reverse=True)
    digests = []
    for folder in ("a", "b"):
        draw_frequency_figure(out, tmp_path / folder)
        files = sorted((tmp_path / folder).iterdir())
        digests.append([hashlib.sha256(f.read_bytes()).hexdigest() for f in files])
    assert digests[0] == digests[1] and len(digests[0]) == 3


def test_unknown_names_and_missing_rows_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label-frequencies", "--like", "wiki11", "--out", str(tmp_path / "x.csv")]) == 2
    assert main(["frequency-figure", "--results", str(tmp_path)]) == 2
    first, second = capsys.readouterr().err.strip().splitlines()
    assert "--like: unknown value 'wiki11'; allowed: eurlex4k" in first
    assert "synthetic_realism.csv: missing; count the label frequencies first" in second
    assert list(tmp_path.iterdir()) == []
