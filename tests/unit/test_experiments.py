"""Tables and figures of experiments, from planted rows."""

import csv
import itertools
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from xmcbench.errors import ConfigError, DataError
from xmcbench.plan import Project
from xmcbench.reporting.collect import csv_text
from xmcbench.reporting.experiment_output import (
    KNOWN,
    files_of,
    is_figure,
    module_of,
    require_known,
    write_experiments,
)
from xmcbench.reporting.experiment_rows import ExperimentRows, parse_point
from xmcbench.reporting.experiments import t1, t8
from xmcbench.reporting.ledger import COLUMNS, read_ledger
from xmcbench.reporting.report import read_markdown
from xmcbench.reporting.tables import markdown

from ..conftest import ROOT

SHARED = {
    "dataset": "d",
    "budget": "quick",
    "seed": 1,
    "metric": "P",
    "k": 1,
    "split": "test",
    "epoch": math.nan,
}
MIB = 2**20


def rows_of(*rows: dict[str, Any]) -> ExperimentRows:
    frame = pd.DataFrame([{**SHARED, **row} for row in rows], columns=[*COLUMNS, "written"])
    return ExperimentRows(frame, {"dense": "Dense", "fixed_fan_in_set": "Fan-in"})


def final(method: str, value: float, metric: str = "P", k: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"method": method, "value": value, "metric": metric, "k": k, **more}


def curve(method: str, values: list[float], metric: str = "P", **more: Any) -> list[dict[str, Any]]:
    place = {"metric": metric, "split": "validation", **more}
    return [{"method": method, "value": v, "epoch": float(e), **place} for e, v in enumerate(values, 1)]


def text_of(name: str, rows: ExperimentRows) -> pd.DataFrame:
    shown: pd.DataFrame = module_of(name).make_table(rows)[1]
    return shown


def test_a_column_of_the_gpu_stands_only_where_one_trained() -> None:
    both = [final("dense", 50.0), final("fixed_fan_in_set", 45.0)]
    assert "GPU (MiB)" not in text_of("t2", rows_of(*both))
    peak = final("dense", 2.0 * MIB, "peak_device", None, split="train")
    assert list(text_of("t2", rows_of(*both, peak))["GPU (MiB)"]) == ["2", ""]


def test_a_fan_in_has_one_colour_in_every_panel() -> None:
    points = [("d", 64), ("d", 32), ("e", 32), ("e", 16)]
    rows = [r for d, k in points for r in curve(f"fixed_fan_in_set@fan_in={k}", [1.0, 2.0], dataset=d)]
    few, many = (
        {text.get_text(): text.get_color() for text in panel.texts}
        for panel in module_of("f3_epochs").draw(rows_of(*rows)).axes
    )
    assert (set(few), set(many)) == ({"K = 64", "K = 32"}, {"K = 32", "K = 16"})
    assert few["K = 32"] == many["K = 32"] != few["K = 64"]


def test_steps_on_a_gpu_are_a_table_of_their_own_and_no_runs() -> None:
    cost = {"dataset": "amazon3m", "budget": "paper_cost", "k": None, "split": "train"}
    steps = [
        final(m, v * 2**30, "peak_device", **cost) for m, v in (("dense", 40.0), ("fixed_fan_in_set", 8.0))
    ]
    steps.append(final("fixed_fan_in_set", 0.25, "step_seconds", **cost))
    rows = rows_of(final("dense", 50.0), final("fixed_fan_in_set", 45.0), *steps)
    shown = text_of("paper_cost", rows).set_index("Method")
    assert shown.loc["Fan-in", ["Peak (GiB)", "Step (ms)", "Dense / this"]].tolist() == ["8.00", "250", "5.0"]
    assert "Rewire (ms)" not in shown
    others = text_of("t2", rows)
    assert set(others["Data"]) == {"d"} and "GPU (MiB)" not in others


def test_swept_values_become_columns() -> None:
    assert parse_point("dense") == ("dense", {})
    assert parse_point("a@fan_in=16,cutoff=1.0") == ("a", {"fan_in": "16", "cutoff": "1.0"})
    rows = rows_of(final("a@fan_in=16", 1.0), final("a@fan_in=8,cutoff=1.0", 2.0), final("a", 3.0))
    assert list(rows.final("P", 1)["value"]) == [3.0]
    assert list(rows.final("P", 1, axes=["fan_in"])["@fan_in"]) == ["16"]
    assert len(rows.final("P", 1, axes=None)) == 3


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"runs\.csv: missing; record the runs"):
        ExperimentRows.read(tmp_path / "runs.csv", {})
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    for read in (read_ledger, lambda path: ExperimentRows.read(path, {})):
        with pytest.raises(DataError, match=r"runs\.csv: columns a, b; allowed: dataset, method"):
            read(tmp_path / "runs.csv")


@pytest.mark.parametrize(
    ("column", "word", "allowed"),
    [
        ("k", "x1", "a whole number"),
        ("k", "1.5", "a whole number"),
        ("seed", "", "a whole number"),
        ("epoch", "end", "a number"),
    ],
)
def test_a_word_where_a_number_belongs_is_named_with_its_line(
    tmp_path: Path, column: str, word: str, allowed: str
) -> None:
    with open(ROOT / "results/reference/runs.csv", encoding="utf-8", newline="") as lines:
        rows = list(itertools.islice(csv.DictReader(lines), 3))
    rows[1][column] = word
    (tmp_path / "runs.csv").write_text(csv_text(COLUMNS, rows))
    with pytest.raises(DataError, match=rf"runs\.csv: line 3: {column} is '{word}'; allowed: {allowed}"):
        ExperimentRows.read(tmp_path / "runs.csv", {})


def test_a_ledger_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole = (ROOT / "results/reference/fidelity.csv").read_text().splitlines(keepends=True)[:9]
    file = tmp_path / "runs.csv"
    file.write_text("".join(whole))
    assert len(ExperimentRows.read(file, {}).frame) == len(read_ledger(file)) == 8
    file.write_text("".join(whole)[:-30])
    for read in (read_ledger, lambda path: ExperimentRows.read(path, {})):
        with pytest.raises(DataError, match=r"runs\.csv: line 9: \d+ columns; allowed: 13, as above"):
            read(file)


def test_table_2_shows_seeds_and_the_difference_from_dense_of_the_same_seeds() -> None:
    rows = rows_of(
        *(final("dense", v, seed=s) for s, v in ((1, 50.0), (2, 52.0))),
        final("fixed_fan_in_set", 46.0),
        final("fixed_fan_in_set", 5 * MIB, "memory_classifier", None, split="train"),
        # Another data set without a dense run to compare with stays out.
        final("fixed_fan_in_set", 40.0, dataset="e"),
    )
    table = text_of("t2", rows).set_index("Method")
    assert list(table.index) == ["Dense", "Fan-in"]
    assert table.loc["Dense", "P@1"] == "51.0 ± 1.4 (2)" and table.loc["Fan-in", "P@1 − dense"] == "-4.0"
    assert table.loc["Fan-in", "Classifier (MiB)"] == "5.0"


def test_table_5_shows_what_the_auxiliary_objective_adds_at_each_fan_in() -> None:
    runs = {"dense": 50.0, "dense_aux": 51.5}
    runs |= {f"fixed_fan_in_set@fan_in={k}": v for k, v in ((16, 40.0), (64, 45.0))}
    runs |= {f"fixed_fan_in_set_aux@fan_in={k}": v for k, v in ((16, 44.0), (64, 44.5))}
    sparsity = [
        final(m, 1 - int(m.split("=")[1]) / 384, "sparsity", None, split="") for m in runs if "=" in m
    ]
    table = text_of("t5", rows_of(*(final(m, v) for m, v in runs.items()), *sparsity))
    assert list(table["Fan-in"]) == ["", "", "64", "64", "16", "16"]
    assert list(table["Sparsity"]) == ["dense", "dense", "83 %", "83 %", "96 %", "96 %"]
    assert list(table["Gain of auxiliary"]) == ["", "+1.5", "", "-0.5", "", "+4.0"]


def test_table_6_stars_the_best_cut_off_and_knows_never() -> None:
    name = "fixed_fan_in_set_aux@fan_in=16,cutoff={}"
    found = {"1.0": 41.0, "4.0": 43.0, "1000.0": 39.0}
    rows = rows_of(
        final("fixed_fan_in_set@fan_in=16", 40.0), *(final(name.format(c), v) for c, v in found.items())
    )
    table = text_of("t6", rows)
    assert list(table["Cut-off (epochs)"]) == ["0", "1", "4 *", "never"]
    assert list(table["Gain over without"]) == ["+0.0", "+1.0", "+3.0", "-1.0"]


def test_cost_is_the_first_epoch_at_95_percent_of_dense() -> None:
    seconds = [
        final(m, 2.0, "epoch_seconds", None, split="train")
        for m in ("dense", "fixed_fan_in_set", "dense_aux")
    ]
    curves = [
        *curve("dense", [30.0, 40.0]),
        *curve("fixed_fan_in_set", [30.0, 37.9]),
        *curve("dense_aux", [39.0, 41.0]),
    ]
    finals = [final(m, 40.0) for m in ("dense", "fixed_fan_in_set", "dense_aux")]
    table = text_of("cost", rows_of(*finals, *seconds, *curves)).set_index("Method")
    # 38 is 95 % of dense's 40.
    assert table.loc["Fan-in", "Epochs"] == "not reached"
    assert (table.loc["Dense", "Seconds"], table.loc["dense_aux", "Seconds"]) == ("4.0", "2.0")


def test_longer_training_gains_over_the_budgets_own_run() -> None:
    table = text_of("steps", rows_of(final("dense", 50.0), final("dense@epochs=20", 51.0)))
    assert list(table["Epochs"]) == ["as the budget", "20"] and list(table["Gain"]) == ["", "+1.0"]
    alone = text_of("steps", rows_of(final("dense@epochs=20", 51.0)))
    assert list(alone["P@1"]) == ["not run", "51.0"], "a run that is missing is said to be"


def test_recipes_of_the_auxiliary_objective_are_compared_with_the_same_layer_without() -> None:
    aux = "fixed_fan_in_set_aux"
    runs = {f"{aux}@fan_in=16,weight=0.01": 39.0, f"{aux}@groups=4096,reduction=mean": 44.0}
    runs |= {"fixed_fan_in_set": 45.0, "fixed_fan_in_set@fan_in=16": 40.0}
    # Of other tables, and of what sets something else as well.
    runs |= {f"{aux}@fan_in=16": 1.0, f"{aux}@grouping=random": 2.0, f"{aux}@weight=0.1,epochs=20": 3.0}
    table = text_of("aux", rows_of(*(final(m, v) for m, v in runs.items())))
    shown = table[["Fan-in", "Groups", "λ₀", "Loss", "Gain"]].to_numpy().tolist()
    assert shown == [["16", "", "0.01", "", "-1.0"], ["", "4096", "", "mean", "-1.0"]]


def test_hinge_shows_its_zero_gradients() -> None:
    zero = curve("dense_hinge", [0.25, 0.9], "zero_share", k=None)
    finals = [
        final(m, v) for m, v in (("dense", 50.0), ("dense_hinge", 48.0), ("fixed_fan_in_set_hinge", 40.0))
    ]
    table = text_of("hinge", rows_of(*finals, *zero)).set_index("Method")
    row = table.loc["dense_hinge"]
    assert (row["Zero, first epoch"], row["Zero, last epoch"]) == ("25.0", "90.0")
    assert row["P@1 − cross-entropy"] == "-2.0"


def test_hyper_parameters_are_the_recipes(project: Project) -> None:
    raw, text = t8.table_of_recipes(project)
    column = "amazon3m, paper: fixed_fan_in_set_aux"
    values = dict(zip(text["hyper-parameter"], text[column], strict=True))
    assert (values["fan-in"], values["accumulation"], values["label groups"]) == ("128", "2", "32768")
    assert raw[raw["key"] == "output.fan_in"]["amazon3m, paper: dense"].isna().all()


def test_table_1_has_the_papers_sets_and_ours(project: Project) -> None:
    raw, text = t1.table_of_recipes(project)
    table = text.set_index("Data set")
    assert {r.dataset for g in ("paper", "t2_methods") for r in project.runs(g)} == set(raw["dataset"])
    assert table.loc["Amazon-3M"].tolist() == [
        "1,717,899",
        "742,507",
        "2,812,281",
        "36.17",
        "31.64",
        "Renee, table 13",
    ]
    # 266,107 pairs of 82,814 documents and 33,259 labels.
    assert table.loc["WordNet-33K"].tolist()[2:] == ["33,259", "3.21", "8.00", "counted"]


@pytest.mark.parametrize("name", KNOWN)
def test_every_table_and_figure_has_words_and_survives_no_rows(name: str) -> None:
    module = module_of(name)
    assert module.TITLE and module.CAPTION.endswith(".")
    if is_figure(name):
        figure = module.draw(ExperimentRows.none())
        assert [t.get_text() for axes in figure.axes for t in axes.texts] == ["no runs yet"]
    elif hasattr(module, "make_table"):
        assert module.make_table(ExperimentRows.none())[1].empty


def test_figure_3_joins_label_samples_and_not_data_sets() -> None:
    spaces = {"labels_eighth": 100, "labels_half": 400, "quick": 800}
    rows = [
        *(final(m, v, budget=b) for b in spaces for m, v in (("dense", 50.0), ("fixed_fan_in_set", 47.0))),
        *(final("dense", n, "labels", None, budget=b, split=None) for b, n in spaces.items()),
        *(final(m, v, dataset="e") for m, v in (("dense", 30.0), ("fixed_fan_in_set", 22.0))),
        final("dense", 3000, "labels", None, dataset="e", split=None),
        # A whole set without its dense layer has no drop, so no point and no tick, and one set alone no panel.
        final("fixed_fan_in_set", 40.0, budget="full"),
        final("fixed_fan_in_set", 9000, "labels", None, budget="full", split=None),
        *(final(m, v, dataset="e", budget="full") for m, v in (("dense", 30.0), ("fixed_fan_in_set", 22.0))),
        final("dense", 9500, "labels", None, dataset="e", budget="full", split=None),
    ]
    samples, sets = module_of("f3_labels").draw(rows_of(*rows)).axes
    assert samples.lines[0].get_xydata().tolist() == [[100, 3], [400, 3], [800, 3]]
    assert sets.lines[0].get_xydata().tolist() == [[800, 3], [3000, 8]]
    assert samples.lines[0].get_linestyle() == "-" and sets.lines[0].get_linestyle() == "None"
    assert {"d", "e"} <= {t.get_text() for t in sets.texts}
    assert sets.get_xticks().tolist() == [800, 3000]


def test_everything_that_a_grid_shows_is_written(project: Project, tmp_path: Path) -> None:
    shown = project.shown_by("ablations")
    assert set(shown) == set(KNOWN), "every table and figure has runs that are planned"
    (tmp_path / "rows.csv").write_text(",".join(COLUMNS) + "\n")
    write_experiments(tmp_path / "rows.csv", "t6_cutoff", project, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(files_of(["t6"]))


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    import shutil

    config = Path(shutil.copytree(ROOT / "config", tmp_path / "config"))
    file = config / "grids" / "hinge.yaml"
    values = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**values, "shows": ["t99"]}))
    with pytest.raises(
        ConfigError, match=r"hinge\.yaml: key 'shows': unknown value 't99'; allowed: aux, bands, cost"
    ):
        require_known(Project(config))


def test_markdown_comes_back_as_the_table() -> None:
    table = pd.DataFrame({"A": ["x | y", ""], "B": ["1", "2"]})
    back = read_markdown(markdown(table))
    assert list(back.columns) == ["A", "B"] and back.to_numpy().tolist() == [["x | y", "1"], ["", "2"]]
    assert read_markdown(markdown(pd.DataFrame())).empty
