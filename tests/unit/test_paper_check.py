"""The check of the paper's grid: stand-ins are of the real kind, and a run that does not run is found."""

import dataclasses
import logging
from pathlib import Path

import pytest

from xmcbench.data.tokenizer import DocumentTokenizer
from xmcbench.encoder import build
from xmcbench.errors import ConfigError
from xmcbench.plan import Project, Run
from xmcbench.recipe import Encoder, TrainRecipe
from xmcbench.training.paper_check import StandIns, check_all, check_run, small_recipe
from xmcbench.training.stand_ins import KINDS, stand_in_data, stand_in_encoder

TEXTS = ["a small red house", "two smaller houses, and a tree", "äöü"] * 20


def run_of(project: Project, dataset: str, method: str) -> Run:
    return next(r for r in project.runs("paper") if (r.dataset, r.method) == (dataset, method))


@pytest.mark.parametrize(
    ("pretrained", "ids"), [(p, (0, 2, 1) if k == "roberta" else (101, 102, 0)) for p, k in KINDS.items()]
)
def test_special_tokens_are_those_of_the_encoders_kind(
    pretrained: str, ids: tuple[int, int, int], tmp_path: Path
) -> None:
    folder = stand_in_encoder(pretrained, TEXTS, tmp_path / "encoder")
    tokenizer = DocumentTokenizer(str(folder), 16, special=True)
    flat_T, length_N = tokenizer.encode(["a red tree", ""])
    assert (flat_T[0], flat_T[length_N[0] - 1], tokenizer.pad_id) == ids
    assert length_N[0] > 3 and length_N[1] == 2, "an empty text has its special tokens alone"
    encoder = build(
        Encoder(kind="transformer", pretrained=str(folder), features=768),
        tokenizer.vocabulary,
        tokenizer.pad_id,
        lambda: None,
    )  # type: ignore[arg-type,return-value]
    assert KINDS[pretrained] in type(encoder.model).__name__.lower()  # type: ignore[union-attr]


def test_data_is_a_hundredth_of_the_shape(project: Project) -> None:
    source = stand_in_data(project.datasets["amazon3m"]).source
    assert (source.documents_train, source.labels) == (17_178, 28_122)  # type: ignore[union-attr]
    assert source.labels_per_document == 36.17  # type: ignore[union-attr]


def test_a_recipe_is_changed_in_what_is_said_and_nothing_else(project: Project) -> None:
    recipe = run_of(project, "amazon3m", "fixed_fan_in_set_aux").recipe
    assert isinstance(recipe, TrainRecipe)
    small = small_recipe(recipe, Path("somewhere"))
    assert small.auxiliary is not None and small.auxiliary.groups == 327
    assert (small.training.accumulation, small.encoder.autocast, small.encoder.activation_checkpointing) == (
        2,
        "bfloat16",
        True,
    )
    assert (small.output, small.output_optimizer) == (recipe.output, recipe.output_optimizer)


def test_the_smallest_of_the_papers_runs_runs_and_stands_for_its_like(
    project: Project, tmp_path: Path
) -> None:
    run = run_of(project, "wiki10", "fixed_fan_in_set")
    twin = dataclasses.replace(run, budget="paper_printed")
    rows = check_all([run, twin], StandIns(tmp_path, project.datasets), logging.getLogger("xmcbench"))
    assert [(r["status"], r["rewires"], r["resumed_equal"]) for r in rows] == [("ok", 1, True)] * 2
    assert rows[1]["reason"] == "as paper: the same recipe" and rows[1]["preset"] == "paper_printed"


def test_a_run_that_cannot_run_is_a_row_with_its_reason(project: Project, tmp_path: Path) -> None:
    run = run_of(project, "wiki10", "dense")
    assert isinstance(run.recipe, TrainRecipe)
    encoder = run.recipe.encoder.model_copy(update={"pretrained": "gpt-9"})
    row = check_run(
        dataclasses.replace(run, recipe=run.recipe.model_copy(update={"encoder": encoder})),
        StandIns(tmp_path, project.datasets),
    )
    assert (
        row["status"] == "failed" and "no stand-in for 'gpt-9'; allowed: bert-base-uncased" in row["reason"]
    )
    with pytest.raises(ConfigError, match="no stand-in"):
        stand_in_encoder("gpt-9", TEXTS, tmp_path)
