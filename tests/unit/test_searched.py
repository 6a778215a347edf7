"""What a search found of a method: where it applies, where not, and that every winner of the ledger stands in its file."""

from pathlib import Path

import pytest

from xmcbench.errors import ConfigError
from xmcbench.plan import Project, nested
from xmcbench.recipe import TrainRecipe, merge
from xmcbench.reporting.ledger import missing, read_ledger
from xmcbench.reporting.trials import kept_trials, trial_scores

from ..conftest import ROOT


@pytest.fixture
def config(config: Path) -> Path:
    """A copy of the configuration, with a method that a search has changed and one that extends it."""
    (config / "methods" / "found.yaml").write_text(
        "extends: masked_set\nsearched: {output: {initial_range: 0.077}, topology: {fraction: 0.077}}\n"
    )
    (config / "methods" / "further.yaml").write_text("extends: found\n")
    for name, cell in {
        "quick_two": "budget: quick, datasets: [wordnet-33k]",
        "paper_two": "budget: paper, datasets: [wiki10]",
        "trials_two": "budget: tuning, datasets: [wordnet-33k], trials: 1, "
        "search: {fraction: {key: topology.fraction, low: 0.1, high: 0.2}}",
    }.items():
        (config / "grids" / f"{name}.yaml").write_text(
            f"cells: [{{{cell}, methods: [found, further], seeds: [1]}}]\n"
        )
    return config


@pytest.mark.parametrize("grid", ["quick_two", "paper_two", "trials_two"])
def test_what_our_data_chose_is_the_methods_own_and_in_no_recipe_of_the_paper_and_no_search(
    config: Path, grid: str
) -> None:
    found, further = (run.recipe for run in Project(config).runs(grid))
    values = [(r.output.initial_range, r.topology.fraction) for r in (found, further) if r.topology]
    assert len(values) == 2
    if grid == "quick_two":
        assert values[0] == (0.077, 0.077)
        assert values[1] != values[0] and 0.077 not in values[1]
    else:
        assert values[0] == values[1] and 0.077 not in values[0]


def test_a_wrong_key_that_was_searched_is_traced_to_the_methods_file(config: Path) -> None:
    file = config / "methods" / "found.yaml"
    file.write_text("extends: masked_set\nsearched: {output: {initial_rang: 0.077}}\n")
    with pytest.raises(ConfigError, match=r"found\.yaml: recipe: .*initial_rang"):
        Project(config).runs("quick_two")


def test_every_winner_of_the_search_stands_in_its_methods_file(project: Project) -> None:
    runs = {run.method: run for run in project.runs("tuning")}
    rows = read_ledger(ROOT / "results" / "reference" / "tuning.csv")
    waiting = {run.base_method for run in missing(list(runs.values()), rows)}
    over = {
        method: trial
        for method, trial in kept_trials(trial_scores(rows, project.twins)).items()
        if method not in waiting
    }
    assert len(over) >= 24
    for method, trial in over.items():
        run = runs[trial]
        assert isinstance(run.recipe, TrainRecipe)
        won = merge(*(nested(key, run.value_of(key)) for key in run.searched))
        assert project.methods[method].searched == ({} if trial.endswith("=0") else won), trial
    assert all(project.methods[method].searched == {} for method in waiting)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: masked_set\ntwin: fixed_fan_in_sett\n", r"key 'twin': unknown value 'fixed_fan_in_sett'"),
        ("extends: masked_set\ntwin: fixed_fan_in_set\n", "'fixed_fan_in_set' has another recipe or search"),
        ("extends: dense\nsearch: {chunk: {key: output.chunk, values: [64]}}\ntwin: dense\n", "or search"),
        ("extends: fixed_fan_in_set\ntwin: fixed_fan_in_set\n", "'fixed_fan_in_set' is the twin of 'found'"),
        ("extends: dense\ntwin: found\n", "the method itself"),
    ],
)
def test_a_twin_is_another_method_that_differs_in_its_storage_alone(
    config: Path, text: str, said: str
) -> None:
    (config / "methods" / "found.yaml").write_text(text)
    (config / "methods" / "further.yaml").write_text("extends: dense\n")
    with pytest.raises(ConfigError, match=said) as caught:
        _ = Project(config).twins
    assert (
        "found" in str(caught.value)
        and "yaml: key 'twin'" in str(caught.value)
        and "allowed" in str(caught.value)
    )


def test_twins_are_told_both_ways_and_not_inherited(config: Path) -> None:
    (config / "methods" / "found.yaml").write_text("extends: dense\ntwin: dense\n")
    twins = Project(config).twins
    assert twins["found"] == "dense" and twins["dense"] == "found" and "further" not in twins
