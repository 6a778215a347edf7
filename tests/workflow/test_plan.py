"""What the workflow plans: golden job counts, and nothing more than a change calls for."""

import re
import resource
import subprocess
import sys

import pytest

from xmcbench.reporting.ledger import COLUMNS

from .conftest import Workflow

GOLDEN = {
    "all": {
        "all": 1,
        "prepare": 1,
        "sample": 1,
        "tokenise": 1,
        "group": 1,
        "train": 11,
        "reference": 2,
        "score": 13,
        "collect": 1,
        "write_tables": 1,
        "draw_figures": 1,
        "judge_claims": 1,
        "write_report": 1,
    },
    "claims": {"claims": 1, "judge_claims": 1},
    "transformer_demo": {
        "transformer_demo": 1,
        "prepare": 1,
        "sample": 1,
        "tokenise": 2,
        "group": 1,
        "train": 12,
        "reference": 2,
        "score": 14,
        "collect": 1,
        "write_tables": 1,
        "draw_figures": 1,
        "write_other_report": 1,
    },
    "data_debian-deps-42k": {"data_debian-deps-42k": 1, "prepare": 1},
    "loader": {"loader": 1, "benchmark_loader": 1, "collect_loader": 1},
    "in_turns": {
        "in_turns": 1,
        "prepare": 3,
        "sample": 3,
        "tokenise": 3,
        "benchmark_in_turns": 11,
        "collect_in_turns": 1,
    },
}
REPORTING = {"collect", "write_tables", "draw_figures", "write_report"}


@pytest.mark.parametrize("target", sorted(GOLDEN))
def test_golden_job_counts(target: str, fresh: Workflow) -> None:
    assert fresh.planned(target) == GOLDEN[target]


def test_no_target_means_all(fresh: Workflow) -> None:
    assert fresh.planned() == GOLDEN["all"]


def test_a_second_run_has_nothing_to_do(original: Workflow) -> None:
    assert original.planned("all") == {}
    assert "Nothing to be done" in original.run("all")


def processor_seconds() -> float:
    """Return what this process's children have computed: a clock on the wall also measures the tests beside this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_papers_grid_and_what_each_job_asks_for(fresh: Workflow) -> None:
    began = processor_seconds()
    text = fresh.run("--dry-run", "paper")
    took = processor_seconds() - began
    # Ten seconds of a core of one's own. Two programs on one core, or one at half its clock, take longer for everything:
    # what is imported in two seconds where nothing else runs says how much longer.
    began = processor_seconds()
    subprocess.run([sys.executable, "-c", "import pandas, snakemake.cli"], check=True)
    assert took < 10 * max(1, (processor_seconds() - began) / 2)
    table = re.search(r"^job +count\n-[- ]+\n(.*?)^total", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    counts = {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}
    assert counts == {
        **{"paper": 1, "fetch": 6, "prepare": 6, "sample": 6, "tokenise": 11, "group": 5},
        **{
            "train": 29,
            "score": 29,
            "collect": 1,
            "write_tables": 1,
            "draw_figures": 1,
            "write_other_report": 1,
        },
    }
    asked = {}
    for job in re.split(r"^\[", text, flags=re.MULTILINE):
        if "rule train:" in job:
            found = re.search(r"wildcards: .*dataset=([\w.-]+), method=(\w+)", job)
            resources = dict(re.findall(r"(gpu|mem_mb|runtime)=(\d+)", job))
            assert found is not None
            asked[found[1], found[2]] = tuple(int(resources[k]) for k in ("gpu", "mem_mb", "runtime"))
    assert len(asked) == 29 and {gpu for gpu, _, _ in asked.values()} == {1}
    # Weights and moments twice, beside 6 GB; hours of the paper's appendix F, doubled.
    assert asked["amazon3m", "dense"] == (1, 57904, 8640)
    assert asked["amazon3m", "fixed_fan_in_set"] == (1, 16147, 8640)
    assert asked["wiki10", "fixed_fan_in_set_intermediate"] == (1, 6057, 120)
    assert asked["lf-wikiseealso320k", "dense"][2] == 240, "no hours are printed: the default"


@pytest.mark.parametrize(("target", "runs"), [("paper_wiki10", 5), ("paper_official", 29)])
def test_parts_and_other_recipes_of_the_paper(target: str, runs: int, fresh: Workflow) -> None:
    planned = fresh.planned(target)
    assert planned["train"] == runs and planned["write_other_report"] == 1


def test_claims_never_start_training(fresh: Workflow) -> None:
    fresh.run("claims")
    table = (fresh.root / "results/claims.csv").read_text()
    assert (
        table.count(",not run,") >= 26
        and "nothing: results/reference/runs.csv" in (fresh.root / "results/claims.md").read_text()
    )
    # Rows of this machine's own runs, of which nothing else is left: judged again, and nothing trained.
    rows = fresh.root / "results/collected/ablations_rows.csv"
    rows.parent.mkdir()
    columns = ",".join(COLUMNS)
    run = "wordnet-33k,{},1,quick,abc,P,1,test,{},%,here,,"
    rows.write_text("\n".join([columns, run.format("dense", 50.0), run.format("fixed_fan_in_set", 40.0), ""]))
    assert fresh.planned("claims") == GOLDEN["claims"]
    fresh.run("claims")
    assert "C1,holds,10.0,≥ 1" in (fresh.root / "results/claims.csv").read_text()
    assert fresh.planned("claims") == {}


def test_training_rules_take_every_core(fresh: Workflow) -> None:
    text = fresh.run("--dry-run", "--printshellcmds", "all")
    jobs = [job for job in text.split("\n\n") if "rule train:" in job or "rule reference:" in job]
    assert len(jobs) == 13
    assert all("threads: 2" in job for job in jobs)


def test_a_comment_trains_nothing(built: Workflow) -> None:
    for name in ("methods/one.yaml", "methods/_base.yaml", "budgets/tiny.yaml", "datasets/wordnet-33k.yaml"):
        file = built.root / "config" / name
        file.write_text("# a comment\n" + file.read_text())
    assert built.planned("all") == {}


def test_a_changed_value_trains_its_method_alone(built: Workflow) -> None:
    file = built.root / "config/methods/two.yaml"
    file.write_text(file.read_text() + "recipe:\n  output_optimizer: {learning_rate: 0.004}\n")
    planned = built.planned("all")
    assert planned == {"all": 1, "train": 1, "score": 1, **dict.fromkeys(REPORTING, 1)}


def test_a_changed_label_collects_again_and_trains_nothing(built: Workflow) -> None:
    file = built.root / "config/methods/two.yaml"
    file.write_text(file.read_text().replace("label: Two", "label: Too"))
    assert built.planned("all") == {"all": 1, **dict.fromkeys(REPORTING, 1)}


def test_a_new_method_is_one_new_file_and_a_line_in_a_grid(built: Workflow) -> None:
    built.write("methods/three.yaml", {"extends": "two", "recipe": {"training": {"loss": "bce"}}})
    grid = built.root / "config/grids/tiny.yaml"
    grid.write_text(grid.read_text().replace("  - two\n", "  - two\n  - three\n"))
    assert built.planned("all") == {"all": 1, "train": 1, "score": 1, **dict.fromkeys(REPORTING, 1)}


def test_figures_are_redrawn_without_training(built: Workflow) -> None:
    for file in (built.root / "results/figures/run").iterdir():
        file.unlink()
    assert set(built.planned("figures")) == {"figures", "draw_figures"}
    built.run("figures")
    assert len(list((built.root / "results/figures/run").iterdir())) == 12


def test_a_swept_axis_is_a_run_of_its_own(built: Workflow) -> None:
    axes = {"fan_in": {"key": "output.fan_in", "values": [8, 16]}}
    cell = {"budget": "tiny", "datasets": ["wordnet-33k"], "methods": ["one"], "axes": axes}
    built.write("grids/sweep.yaml", {"cells": [cell]})
    assert built.planned("--config", "grid=sweep", "--", "all")["train"] == 2
    text = built.run("--dry-run", "--config", "grid=sweep", "--", "all")
    assert "results/runs/tiny/wordnet-33k/one@fan_in=8/seed1" in text
