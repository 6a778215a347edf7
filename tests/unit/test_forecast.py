"""The forecast of a run's memory against what layers themselves declare, and against the paper's print."""

import pytest
import torch

from xmcbench.forecast import BASE_MB, DEFAULT_MINUTES, classifier_bytes, host_mb, minutes
from xmcbench.output import build
from xmcbench.plan import Project
from xmcbench.recipe import TrainRecipe
from xmcbench.training.optimizers import output_optimizer

LABELS, GIB = 3000, 2**30


@pytest.mark.parametrize(
    "method",
    [
        "dense",
        "dense_bottleneck",
        "masked_set",
        "fixed_fan_in_set",
        "fixed_fan_in_set_materialised",
        "fixed_fan_in_set_bf16",
    ],
)
def test_the_forecast_is_what_the_layer_declares(method: str, project: Project) -> None:
    recipe = next(r.recipe for r in project.runs("methods") if r.method == method)
    assert isinstance(recipe, TrainRecipe)
    layer = build(recipe.encoder.features, LABELS, recipe.output, torch.Generator().manual_seed(1))
    optimizer = output_optimizer(layer, recipe.output_optimizer)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    declared = layer.memory(optimizer, recipe.training.batch_size)
    forecast = classifier_bytes(recipe, LABELS)
    for kind in ("weight", "index", "mask", "gradient", "optimizer", "scores"):
        assert forecast.get(kind, 0) == pytest.approx(declared.get(kind, 0), rel=0.05), kind


def test_amazon_3m_in_the_papers_recipe(project: Project) -> None:
    runs = {r.method: r.recipe for r in project.runs("paper") if r.dataset == "amazon3m"}
    labels = project.datasets["amazon3m"].counts["full"].labels
    assert labels == 2_812_281
    total = {
        m: sum(classifier_bytes(r, labels).values()) / GIB
        for m, r in runs.items()
        if isinstance(r, TrainRecipe)
    }
    # Weights, gradient and two moments of 768 × L: 32.2 GiB; scores of 256 documents and their gradient 5.4.
    assert total["dense"] == pytest.approx(32.2 + 5.4, abs=0.2)
    # 128 × L: weights and two moments 4.0, a 16-bit index 0.7; no gradient and no scores.
    assert total["fixed_fan_in_set"] == pytest.approx(4.7, abs=0.1)


def test_what_a_scheduler_is_asked_for(project: Project) -> None:
    dense = next(r.recipe for r in project.runs("paper") if (r.dataset, r.method) == ("amazon3m", "dense"))
    # Weights and moments, once as they are and once as a checkpoint's file.
    assert host_mb(dense, 2_812_281) == pytest.approx(BASE_MB + 2 * 24.16 * GIB / 1e6, rel=0.02)
    assert minutes(72.0, paper=True) == 8640 and minutes(72.0, paper=False) == DEFAULT_MINUTES
    assert minutes(None, paper=True) == DEFAULT_MINUTES
