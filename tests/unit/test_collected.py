"""From run folders to tidy rows and tables: real collection, of hand-made results."""

import json
from pathlib import Path

import pytest

from xmcbench.atomic import write_json, write_text
from xmcbench.errors import DataError
from xmcbench.plan import Run
from xmcbench.reporting.collect import collect_grid
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.dataset_table import datasets_table
from xmcbench.reporting.outputs import TABLES
from xmcbench.reporting.tables import all_tables, latex, main_table, markdown, write_tables

from ..conftest import ROOT
from .finished_runs import rows_of

CONFIG = ROOT / "config"


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


def test_without_label_groups_the_table_says_so(results: Path) -> None:
    write_tables("run", results)
    assert (results / "tables" / "run" / "groups.md").read_text() == "(nothing)\n"
