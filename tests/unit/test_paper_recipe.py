"""The paper's recipe as the data sets carry it, laid over methods."""

import pytest

from xmcbench.method import paper_recipe
from xmcbench.plan import Project, Run
from xmcbench.recipe import TrainRecipe

#: Data set → epochs, documents a step, ΔT, fan-in, classifier rate: rows of the paper's configuration.
PRINTED = {
    "wiki10": (100, 32, 300, 64, 1e-2),
    "wiki500k": (50, 128, 600, 128, 5e-2),
    "amazon670k": (110, 64, 800, 128, 1e-2),
    "amazon3m": (51, 256, 1500, 128, 5e-2),
    "lf-amazontitles131k": (100, 512, 1000, 128, 8e-2),
    "lf-wikiseealso320k": (101, 128, 800, 128, 1e-2),
}


@pytest.fixture(scope="module")
def runs(project: Project) -> dict[tuple[str, str], Run]:
    return {(run.dataset, run.method): run for run in project.runs("paper")}


@pytest.mark.parametrize("dataset", PRINTED)
def test_a_sparse_run_has_the_printed_rows(dataset: str, runs: dict[tuple[str, str], Run]) -> None:
    epochs, documents, interval, fan_in, rate = PRINTED[dataset]
    recipe = runs[dataset, "fixed_fan_in_set"].recipe
    assert isinstance(recipe, TrainRecipe) and recipe.topology is not None
    assert recipe.training.epochs == epochs
    assert recipe.training.batch_size * recipe.training.accumulation == documents
    assert (recipe.topology.interval_steps, recipe.topology.end_share) == (interval, 0.66)
    assert (recipe.output.fan_in, recipe.output_optimizer.learning_rate) == (fan_in, rate)
    assert recipe.encoder.kind == "transformer" and recipe.encoder.features == 768
    assert recipe.auxiliary is None and recipe.intermediate is None
    assert recipe.training.device == "cuda"


def test_what_is_special_about_a_set(runs: dict[tuple[str, str], Run]) -> None:
    titles = runs["lf-amazontitles131k", "fixed_fan_in_set_aux"].recipe
    assert isinstance(titles, TrainRecipe) and titles.auxiliary is not None
    assert (titles.training.loss, titles.output_optimizer.kind, titles.output_optimizer.momentum) == (
        "bce",
        "sgd",
        0.9,
    )
    assert (titles.encoder.optimizer.kind, titles.data.label_augmentation) == ("adam", True)
    assert (titles.auxiliary.groups, titles.auxiliary.cutoff_epochs) == (2048, 12.0)
    wiki = runs["wiki10", "fixed_fan_in_set_intermediate"].recipe
    assert isinstance(wiki, TrainRecipe) and wiki.intermediate is not None
    assert (wiki.intermediate.width, wiki.intermediate.learning_rate) == (4096, 0.0002)
    large = runs["amazon3m", "fixed_fan_in_set"].recipe
    assert isinstance(large, TrainRecipe) and large.topology is not None
    assert (large.topology.amount, large.training.accumulation) == ("fraction", 2)


def test_a_dense_layer_gets_no_fan_in_and_a_bottleneck_it_as_rank(runs: dict[tuple[str, str], Run]) -> None:
    dense, narrow = (runs["amazon670k", name].recipe for name in ("dense", "dense_bottleneck"))
    assert isinstance(dense, TrainRecipe) and isinstance(narrow, TrainRecipe)
    assert dense.output.fan_in is None and dense.topology is None
    assert narrow.output.rank == 128 and narrow.output.fan_in is None


def test_only_what_a_method_has_is_laid_over_it() -> None:
    paper = {"topology": {"fraction": 0.1}, "output": {"fan_in": 4, "rank": 4}, "training": {"epochs": 3}}
    assert paper_recipe(paper, {"output": {"kind": "dense"}}) == {"output": {}, "training": {"epochs": 3}}
    assert paper_recipe(paper, {"topology": {"scope": "label"}, "output": {"fan_in": 2}}) == {
        "topology": {"fraction": 0.1},
        "output": {"fan_in": 4},
        "training": {"epochs": 3},
    }


def test_a_method_keeps_the_optimiser_that_it_names(project: Project) -> None:
    """ELMO's dense layer keeps no state: under the paper's AdamW it would hold eight bytes a weight more."""
    paper = {"output_optimizer": {"kind": "adamw", "learning_rate": 0.05}}
    assert paper_recipe(paper, {"output_optimizer": {"learning_rate": 0.2}}) == paper
    assert paper_recipe(paper, {"output_optimizer": {"kind": "sgd"}}) == {}
    runs = {(run.dataset, run.method): run.recipe for run in project.cost_runs()}
    elmo, theirs = runs["amazon3m", "dense_bf16_chunked"], runs["amazon3m", "dense"]
    assert isinstance(elmo, TrainRecipe) and isinstance(theirs, TrainRecipe)
    assert (elmo.output_optimizer.kind, theirs.output_optimizer.kind) == ("sgd", "adamw")


def test_other_budgets_do_not_see_it(project: Project) -> None:
    for grid in ("quick", "methods"):
        for run in project.runs(grid):
            assert not isinstance(run.recipe, TrainRecipe) or run.recipe.training.device == "cpu"
