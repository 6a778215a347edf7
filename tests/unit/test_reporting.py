"""From run folders to CSV, tables, figures and page: real collection, of hand-made results."""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xmcbench.atomic import write_json, write_text
from xmcbench.errors import ConfigError, DataError
from xmcbench.plan import Project, Run
from xmcbench.reporting.collect import collect_grid
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.dataset_table import datasets_table
from xmcbench.reporting.figures import draw_all
from xmcbench.reporting.outputs import TABLES
from xmcbench.reporting.readme import BEGIN, END, readme_is_current, rewrite_readme
from xmcbench.reporting.report import write_report
from xmcbench.reporting.style import _spread
from xmcbench.reporting.tables import all_tables, latex, main_table, markdown, write_tables

from ..conftest import ROOT

CONFIG = ROOT / "config"


def finish(root: Path, run: Run, value: float) -> None:
    """Write what a finished run leaves, with made-up numbers."""
    folder = root / run.folder
    # A band and a ruler of their own numbers: what shows those of all labels must not take these.
    records = [
        {"metric": metric, "k": k, "band": band, "ruler": ruler, "value": value + k + add, "unit": "%"}
        for metric in ("P", "nDCG", "PSP")
        for k in (1, 3, 5)
        for band, ruler, add in (("all", "all", 0), ("tail", "all", 0.5), ("all", "new_links", 0.25))
    ]
    records += [
        {"metric": "scored_documents", "k": None, "band": band, "ruler": "all", "value": n, "unit": "1"}
        for band, n in (("all", 900), ("tail", 30))
    ]
    write_json(folder / "recipe.json", json.loads(run.canonical_recipe))
    write_json(folder / "metrics.json", {"split": "test", "records": records})
    timing = {
        "parameters": {"classifier": 1000, "encoder": 2000},
        "memory_bytes": {"weight": 2**20, "optimizer": 2**21},
        "peak_rss_bytes": 2**29,
        "train_seconds": 12.0,
        "epoch_seconds": [3.0, 1.0, 2.0],
        "predict_seconds": 0.5,
        "predict_documents": 100,
    }
    write_json(folder / "timing.json", timing)
    write_json(folder / "env.json", {"hardware": "some-cpu-2-cores", "torch": "2.13", "finished": "now"})
    score = [{"metric": "P", "k": 1, "value": value}]
    steps = [
        {
            "kind": "step",
            "step": s,
            "epoch": 0,
            "loss": 9.0 - s,
            "encoder_gradient_norm": 1.0 + s,
            "feature_variance": 0.1,
        }
        for s in range(4)
    ]
    epochs = [{"kind": "epoch", "step": 4, "epoch": e, "loss": 1.0, "validation": score} for e in (1, 2)]
    write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in [*steps, *epochs]))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    runs = Project(CONFIG).runs("smoke")
    for place, run in enumerate(runs):
        finish(tmp_path, run, 10.0 * place)
    return runs


@pytest.fixture
def results(tmp_path: Path, runs: list[Run]) -> Path:
    collect_grid(CONFIG, "smoke", "run", tmp_path / "results", partial=False)
    return tmp_path / "results"


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_collected_rows_are_tidy(results: Path) -> None:
    rows = rows_of(results / "collected" / "run.csv")
    assert list(rows[0]) == (
        [
            "dataset",
            "method",
            "seed",
            "budget",
            "metric",
            "k",
            "band",
            "ruler",
            "split",
            "value",
            "unit",
            "status",
            "hardware",
        ]
    )
    assert {row["k"] for row in rows} == {"1", "3", "5", ""}
    assert not any("@" in row["metric"] for row in rows)
    assert {row["unit"] for row in rows if row["metric"] in {"P", "nDCG", "PSP"}} == {"%"}
    assert {(row["band"], row["ruler"]) for row in rows if row["k"]} == (
        {("all", "all"), ("tail", "all"), ("all", "new_links")}
    )
    seconds = [row for row in rows if row["metric"] == "epoch_seconds"]
    assert {(row["value"], row["unit"], row["k"]) for row in seconds} == {("2.0", "s", "")}
    memory = [row["value"] for row in rows if row["metric"] == "memory_classifier"]
    assert set(memory) == {str(3 * 2**20)}


def test_a_missing_run_stops_a_full_collection_and_is_a_row_of_a_partial_one(
    tmp_path: Path, runs: list[Run]
) -> None:
    results = tmp_path / "results"
    missing, failed, old = runs[2], runs[3], runs[4]
    (tmp_path / missing.folder / "metrics.json").unlink()
    write_json(tmp_path / failed.folder / "failed.json", {"reason": "loss is not finite | at step 3"})
    recipe = json.loads(old.canonical_recipe)
    recipe["training"]["epochs"] += 1
    write_json(tmp_path / old.folder / "recipe.json", recipe)
    with pytest.raises(DataError, match=r"dense/seed1: did not finish \(metrics\.json missing\)"):
        collect_grid(CONFIG, "smoke", "run", results, partial=False)
    assert not (results / "collected").exists()

    collect_grid(CONFIG, "smoke", "run", results, partial=True)
    bad = [row for row in rows_of(results / "collected" / "run.csv") if row["status"] != "ok"]
    assert [(row["method"], row["status"], row["value"]) for row in bad] == [
        (run.method, "failed", "") for run in (missing, failed, old)
    ]
    write_tables("run", results)
    table = {row["method"]: row for row in rows_of(results / "tables" / "run" / "main.csv")}
    assert table[failed.method]["status"] == "failed: loss is not finite | at step 3"
    assert "another recipe" in table[old.method]["status"]
    assert table["fixed_fan_in_set"]["status"] == "ok"
    shown = (results / "tables" / "run" / "main.md").read_text().splitlines()
    assert {line.count("|") - line.count(r"\|") for line in shown} == {shown[0].count("|")}
    # So old that the workflow's next run collects again.
    newest = max(f.stat().st_mtime for f in (results / "collected").iterdir())
    assert newest < min((tmp_path / r.folder / "recipe.json").stat().st_mtime for r in runs) - 1e6


def test_tables_show_what_was_collected(results: Path) -> None:
    raw, text = main_table(Collected("run", results / "collected"))
    assert list(text["Method"][:3]) == ["Most frequent labels", "Linear one-vs-rest", "Dense"]
    assert list(raw["P@3"][:3]) == [3.0, 13.0, 23.0]
    assert text["Classifier memory (MiB)"][0] == "3.0" and text["Test documents (1/s)"][0] == "200"
    write_tables("run", results)
    stored = rows_of(results / "tables" / "run" / "main.csv")
    assert [float(row["P@3"]) for row in stored] == list(raw["P@3"])
    tex = (results / "tables" / "run" / "main.tex").read_text()
    assert tex.count(r"\\") == 1 + len(raw) and tex.splitlines()[0].count("r") >= len(text.columns) - 1
    assert markdown(text).count("\n") == 2 + len(raw)


def test_several_seeds_are_mean_and_sample_deviation(results: Path) -> None:
    collected = Collected("run", results / "collected")
    other = collected.run.copy()
    other["seed"] = 2
    other["value"] = other["value"] + 2.0
    import pandas as pd

    collected.run = pd.concat([collected.run, other])
    raw, text = main_table(collected)
    dense = list(raw["method"]).index("dense")
    assert raw["P@1"][dense] == 22.0 and raw["seeds"][dense] == 2
    assert text["P@1"][dense] == "22.0 ± 1.4 (2)"


def test_latex_escapes_what_latex_reads() -> None:
    import pandas as pd

    text = latex(pd.DataFrame([{"a_b": "50 % & #1 ± {x} \\"}]))
    assert r"a\_b \\" in text
    assert r"50 \% \& \#1 $\pm$ {x} \textbackslash{} \\" in text


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


def test_accuracy_by_band_and_ruler_has_its_own_table(results: Path) -> None:
    write_tables("run", results)
    assert {f.name for f in (results / "tables" / "run").iterdir()} == {
        f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "md", "tex")
    }
    rows = rows_of(results / "tables" / "run" / "tail.csv")
    dense = {row["ruler"]: row for row in rows if row["method"] == "dense"}
    assert set(dense) == {"all", "new_links"}
    assert [dense["all"][c] for c in ("P@1", "P@1, tail", "P@1, head")] == ["21.0", "21.5", ""]
    assert [dense["new_links"][c] for c in ("P@1", "P@1, tail")] == ["21.25", ""]
    shown = (results / "tables" / "run" / "tail.md").read_text().splitlines()
    assert shown[0].startswith("| Method | Ruler | P@1 |") and len(shown) == 2 + len(rows)
    counts = rows_of(results / "tables" / "run" / "bands.csv")
    assert [(row["band"], row["scored_documents"]) for row in counts] == [("all", "900"), ("tail", "30")]


def test_files_older_than_bands_read_as_before(results: Path) -> None:
    import pandas as pd

    file = results / "collected" / "run.csv"
    rows = pd.read_csv(file)
    before = main_table(Collected("run", results / "collected"))[0]
    old = rows[rows["band"].isna() | ((rows["band"] == "all") & (rows["ruler"] == "all"))]
    old.drop(columns=["band", "ruler"]).to_csv(file, index=False)
    collected = Collected("run", results / "collected")
    pd.testing.assert_frame_equal(main_table(collected)[0], before)
    assert len(collected.values("P", 1)) == len(before)


def whole(root: Path, dataset: str, documents: int) -> None:
    """Write what a prepared data set says of itself."""
    splits = {"train": documents - 1, "validation": 1, "test": 4}
    manifest = {"documents": splits, "pairs": dict.fromkeys(splits, 6), "labels": 3, "statistics": {}}
    write_json(root / "resources" / "prepared" / dataset / "manifest.json", manifest)


def test_whole_data_sets_stand_beside_the_published_figures(tmp_path: Path, runs: list[Run]) -> None:
    results = tmp_path / "results"
    whole(tmp_path, "wordnet-33k", 8)
    file = results / "published" / "datasets.csv"
    write_text(
        file,
        "dataset,quantity,value,source,certainty\nWordNet-33K,documents_train,9,a book,confirmed\n"
        "WordNet-33K,labels,3,a talk,unverified\nOther-1M,documents_per_label,2.5,a book,reported\n",
    )
    collect_grid(CONFIG, "smoke", "run", results, partial=False)
    collected = Collected("run", results / "collected")
    raw, text = datasets_table(collected, file)
    assert list(text["Data set"]) == ["WordNet-33K", "Other-1M"]
    ours, other = (row for _, row in text.iterrows())
    assert (ours["Training documents, ours"], ours["Training documents, published"]) == ("8", "9")
    assert (ours["Labels, ours"], ours["Labels, published"]) == ("3", "3 ?")
    # 12 training pairs (validation included) over 8 documents and 3 labels, 18 with the test's.
    assert [ours[f"{h}, ours"] for h in ("Labels per training document", "Training documents per label")] == (
        ["1.50", "4.00"]
    )
    assert ours["Documents per label, train and test, ours"] == "6.00"
    assert (other["Labels, ours"], other["Training documents per label, published"]) == ("", "2.50")
    assert ours["Source"] == "a book; a talk" and raw["documents_train, published"][0] == 9
    # What the samples' table shows stays the samples alone.
    assert not any("whole" in column for column in all_tables(collected, results)["data"][0].columns)

    write_text(file, file.read_text().replace("reported", "certain"))
    with pytest.raises(
        DataError, match=r"datasets\.csv, line 4: certainty 'certain'; allowed: confirmed, reported"
    ):
        datasets_table(collected, file)


def test_the_published_statistics_are_consistent() -> None:
    """A record counts a label's documents over train, or over train and test: its other figures must give the same."""
    import pandas as pd

    rows = pd.read_csv(ROOT / "results" / "published" / "datasets.csv")
    wide = rows.pivot(index="dataset", columns="quantity", values="value")
    train = wide["documents_train"] * wide["labels_per_document"] / wide["labels"]
    both = train * (1 + wide["documents_test"] / wide["documents_train"])
    for computed, column in ((train, "documents_per_label"), (both, "documents_per_label_with_test")):
        known = wide[column].dropna()
        assert len(known) >= 4
        assert (computed[known.index] / known).to_list() == pytest.approx([1.0] * len(known), rel=0.005)


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


def test_without_label_groups_the_table_says_so(results: Path) -> None:
    write_tables("run", results)
    assert (results / "tables" / "run" / "groups.md").read_text() == "(nothing)\n"


def test_no_two_methods_look_alike() -> None:
    from xmcbench.reporting.style import COLOURS, MARKERS

    looks = [(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(40)]
    assert len(set(looks)) == 40 and len(set(MARKERS)) == len(MARKERS) >= 13
