"""What an output layer's biases start at: a number, or what suits the number of labels."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from xmcbench.plan import Project, Run
from xmcbench.recipe import GradientProbe, Output, Training, TrainRecipe

from ..conftest import SmokeData
from ..trainers import trainer_on

BCE = Training(loss="bce")


def test_a_label_begins_as_likely_as_it_is() -> None:
    """A document is expected to have 1 of 4 labels: σ(bias) = ¼; of crowded labels at most every second is positive."""
    recipe = TrainRecipe(
        dataset="d",
        method="m",
        budget="b",
        output=Output(expected_labels=1.0, initial_bias=-8.0),
        training=BCE,
    )
    assert recipe.output_for(4).initial_bias == pytest.approx(-math.log(3))
    assert recipe.output_for(1).initial_bias == 0.0
    assert recipe.output.initial_bias == -8.0, "the recipe that is written down stays as it was"


def test_without_it_and_under_squared_hinge_the_number_stands() -> None:
    """Squared hinge has no prior: its positives and negatives want ±1, however many there are."""
    plain = Output(initial_bias=-1.0)
    prior = Output(initial_bias=-1.0, expected_labels=3.0)
    for output, training in ((plain, BCE), (prior, Training(loss="squared_hinge"))):
        recipe = TrainRecipe(dataset="d", method="m", budget="b", output=output, training=training)
        assert recipe.output_for(1000).initial_bias == -1.0


@pytest.mark.parametrize(
    ("method", "other"),
    [
        ("dense", {}),
        ("fixed_fan_in_set", {}),
        ("masked_set", {}),
        ("dense_bottleneck", {}),
        # Of its two layers each has labels of its own; the prior is that of all.
        ("group_fan_in_set", {"kind": "head_tail", "head_share": 0.1}),
    ],
)
def test_layers_and_the_gradient_probe_start_there(
    method: str, other: dict[str, Any], smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    recipe = smoke_runs[method].recipe
    assert isinstance(recipe, TrainRecipe)
    output = recipe.output.model_copy(update={"expected_labels": 3.0, **other})
    trainer = trainer_on(
        recipe.model_copy(update={"output": output, "gradient_probe": GradientProbe()}), smoke, 64
    )
    network = trainer.network
    assert trainer.probe is not None
    for layer in (network.output, trainer.probe.layer):
        biases = [p for name, p in layer.named_parameters() if "bias" in name]
        assert biases
        for bias in biases:
            torch.testing.assert_close(
                torch.sigmoid(bias), torch.full_like(bias, 3.0 / network.output.labels)
            )


def test_none_expected_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected_labels"):
        Output(expected_labels=0.0)


def test_whole_sets_start_where_their_own_labels_are(project: Project) -> None:
    """A bias found on a sample of 7,203 labels is far too high for 113,730 of them."""
    for run in project.runs("t2_methods_full"):
        assert isinstance(run.recipe, TrainRecipe)
        assert run.recipe.output_for(113_730).initial_bias == pytest.approx(math.log(3 / (113_730 - 3)))
