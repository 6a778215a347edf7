"""From collected rows to figures, page and README."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xmcbench.atomic import write_json
from xmcbench.errors import ConfigError, DataError
from xmcbench.plan import Run
from xmcbench.reporting.collect import collect_grid
from xmcbench.reporting.figures import draw_all
from xmcbench.reporting.readme import BEGIN, END, readme_is_current, rewrite_readme
from xmcbench.reporting.report import write_report
from xmcbench.reporting.style import _spread
from xmcbench.reporting.tables import write_tables

from ..conftest import ROOT
from .finished_runs import rows_of

CONFIG = ROOT / "config"


def test_figures_are_the_same_bytes_each_time(results: Path, tmp_path: Path) -> None:
    digests = []
    for _ in range(2):
        draw_all("run", results)
        files = sorted((results / "figures" / "run").iterdir())
        digests.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    assert digests[0] == digests[1]
    names = {"accuracy_memory", "feature_variance", "gradient_norm", "learning_curves"}
    assert set(digests[0]) == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg", "pdf")}


def test_the_page_carries_everything_and_asks_nobody(results: Path) -> None:
    with pytest.raises(DataError, match=r"accuracy_memory\.png: missing; draw the figures first"):
        write_report("run", results, results / "report.html")
    draw_all("run", results)
    page = results / "report.html"
    write_report("run", results, page)
    text = page.read_text()
    assert "Fixed fan-in SET + aux" in text and text.count("<img alt=") == 4
    assert "<script src" not in text
    # The plot's library is in the page, and names addresses that it never asks: test_page.py watches a browser.
    without_scripts = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    for request in ('src="http', 'href="http', "@import", "url(http"):
        assert request not in without_scripts


def test_a_method_name_cannot_break_the_page(results: Path) -> None:
    methods = results / "collected" / "run_methods.csv"
    methods.write_text(methods.read_text().replace("Dense bottleneck", "<b>Dense & co"))
    draw_all("run", results)
    write_report("run", results, results / "report.html")
    assert "&lt;b&gt;Dense &amp; co" in (results / "report.html").read_text()


def test_labels_keep_their_distance_and_move_little() -> None:
    assert _spread([0.1, 0.5, 0.9], 0.06) == pytest.approx([0.1, 0.5, 0.9])
    # Two that touch move apart by equal shares; at an edge they stay inside.
    assert _spread([0.5, 0.5], 0.06) == pytest.approx([0.47, 0.53])
    assert _spread([0.99, 1.2], 0.06) == pytest.approx([0.94, 1.0])
    assert _spread([-0.3, 0.0], 0.06) == pytest.approx([0.0, 0.06])


def test_reporting_and_planning_import_no_torch() -> None:
    code = (
        "import sys, xmcbench.cli, xmcbench.plan, xmcbench.reporting.partial, xmcbench.reporting.readme;"
        "assert not {'torch', 'transformers', 'triton'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ})


def test_the_readme_shows_the_reference_numbers() -> None:
    assert readme_is_current(ROOT / "README.md", ROOT / "results" / "reference"), (
        "run: snakemake --cores all readme"
    )


def test_readme_drift_is_found_and_mended(results: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\n| old |\n{END}\nafter\n")
    assert not readme_is_current(readme, results / "collected")
    rewrite_readme(readme, results / "collected")
    assert readme_is_current(readme, results / "collected")
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| Dense | 21.0 | 23.0 | 25.0 |" in text
    readme.write_text("no markers\n")
    with pytest.raises(ConfigError, match="must each stand there once"):
        rewrite_readme(readme, results / "collected")
    assert readme.read_text() == "no markers\n"


def test_label_groups_reach_table_and_page(tmp_path: Path, runs: list[Run]) -> None:
    (used,) = {run.groups_file for run in runs if run.groups_file is not None}
    said = {
        "groups": 256,
        "labels": 1716,
        "smallest group": 6,
        "largest group": 7,
        "groups per document": 1.5,
        "groups per document, random": 2.25,
        "share of co-occurring label pairs in one group": 0.125,
        "share of co-occurring label pairs in one group, random": 0.0039,
    }
    write_json((tmp_path / used).with_suffix(".json"), said)
    collect_grid(CONFIG, "smoke", "run", tmp_path / "results", partial=False)
    results = tmp_path / "results"
    write_tables("run", results)
    (row,) = rows_of(results / "tables" / "run" / "groups.csv")
    assert (row["dataset"], row["budget"], row["grouping"]) == ("wordnet-33k", "smoke", Path(used).stem)
    assert {key: float(row[key]) for key in said} == said
    shown = (results / "tables" / "run" / "groups.md").read_text()
    assert "| 256 | 1,716 | 6 | 7 | 1.50 | 2.25 | 12.50 | 0.39 |" in shown
    draw_all("run", results)
    write_report("run", results, results / "report.html")
    assert "<h2>Label groups</h2>" in (results / "report.html").read_text()


def test_no_two_methods_look_alike() -> None:
    from xmcbench.reporting.style import COLOURS, MARKERS

    looks = [(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(40)]
    assert len(set(looks)) == 40 and len(set(MARKERS)) == len(MARKERS) >= 13
