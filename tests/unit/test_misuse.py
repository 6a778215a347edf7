"""What a user does wrong with a layer: one line that says so, and no memory read or written outside of arrays."""

import pytest
import torch

from xmcbench.errors import ConfigError, ShapeError
from xmcbench.output import FixedFanIn, OutputLayer, build
from xmcbench.positives import Positives
from xmcbench.recipe import OutputOptimizer
from xmcbench.training.losses import BinaryCrossEntropy
from xmcbench.training.optimizers import output_optimizer

from ..recipes import output_of

FITTING = Positives(3, torch.tensor([0]), torch.tensor([0]))
KINDS = ["fixed_fan_in", "group_fan_in", "dense_chunked", "dense", "masked", "low_rank"]


def layer(kind: str) -> OutputLayer:
    recipe = output_of(kind, fan_in=4, rank=4, group=2, chunk=8)
    return build(11, 23, recipe, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("width", "positives", "message"),
    [
        (10, Positives(3, torch.tensor([0]), torch.tensor([0])), r"x_BD has shape \(3, 10\); allowed: documents × 11"),
        (11, Positives(3, torch.tensor([0]), torch.tensor([23])), r"label_P holds 23; allowed: 0 … 22"),
        (11, Positives(3, torch.tensor([0]), torch.tensor([-1])), r"label_P holds -1; allowed: 0 … 22"),
        (11, Positives(3, torch.tensor([3]), torch.tensor([0])), r"row_P holds 3; allowed: 0 … 2"),
        (11, Positives(4, torch.tensor([3]), torch.tensor([0])), r"of 4 documents; allowed: 3, as in x_BD"),
    ],
)  # fmt: skip
def test_a_step_on_what_does_not_fit_changes_nothing(
    kind: str, width: int, positives: Positives, message: str
) -> None:
    one = layer(kind)
    before = {name: value.clone() for name, value in one.state_dict().items()}
    steps = output_optimizer(one, OutputOptimizer())
    with pytest.raises(ShapeError, match=message):
        one.train_step(torch.randn(3, width), positives, loss=BinaryCrossEntropy(), optimizer=steps)
    assert all(torch.equal(before[name], value) for name, value in one.state_dict().items())


@pytest.mark.parametrize("kind", ["fixed_fan_in", "group_fan_in"])
def test_a_state_with_inputs_that_the_layer_has_not_is_refused(kind: str) -> None:
    """Of a layer with more features it has the same shapes, and once ended in a corrupted heap."""
    recipe = output_of(kind, fan_in=4, group=2)
    other = build(60, 23, recipe, torch.Generator().manual_seed(0))
    one = torch.nn.Sequential(layer(kind))
    before = {name: value.clone() for name, value in one.state_dict().items()}
    name = one[0].index_name
    twice = {key: value.clone() for key, value in before.items()}
    twice[f"0.{name}"][5] = 3
    for state, row in (({f"0.{k}": v for k, v in other.state_dict().items()}, r"\d+"), (twice, "5")):
        with pytest.raises(
            ShapeError, match=rf"0\.{name}: row {row} holds \[.*\]; allowed: distinct rising inputs, 0 … 10"
        ):
            one.load_state_dict(state)
        assert all(torch.equal(before[key], value) for key, value in one.state_dict().items())
    one.load_state_dict(before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_nothing_pairs_without_partners_and_no_places_are_refused(kind: str) -> None:
    one, none = layer(kind), torch.empty(0, dtype=torch.int64)
    steps = output_optimizer(one, OutputOptimizer())
    for x_BD, positives, said in (
        (torch.randn(0, 11), Positives(0, none, none), "of no documents; allowed: a batch of 1 or more"),
        (torch.randn(3, 11), Positives(3, torch.arange(3), torch.arange(2)), r"row_P has shape \(3,\)"),
    ):
        with pytest.raises(ShapeError, match=said):
            one.train_step(x_BD, positives, loss=BinaryCrossEntropy(), optimizer=steps)
    for k in (0, -1):
        with pytest.raises(ShapeError, match=f"top_k: k is {k}; allowed: 1 or more"):
            one.top_k(torch.randn(3, 11), k)


@pytest.mark.parametrize("kind", ["fixed_fan_in", "group_fan_in", "dense_chunked"])
def test_an_optimiser_of_another_model_is_refused(kind: str) -> None:
    one = layer(kind)
    steps = output_optimizer(layer(kind), OutputOptimizer())
    with pytest.raises(ConfigError, match=r"does not hold the layer's parameter of shape \(23, "):
        one.train_step(torch.randn(3, 11), FITTING, loss=BinaryCrossEntropy(), optimizer=steps)


@pytest.mark.parametrize("kind", ["fixed_fan_in", "group_fan_in"])
def test_scores_and_top_k_of_other_features_are_refused(kind: str) -> None:
    one = layer(kind)
    for call in (one, lambda x_BD: one.top_k(x_BD, 3)):
        with pytest.raises(ShapeError, match=r"allowed: documents × 11"):
            call(torch.randn(3, 12))
        with pytest.raises(ShapeError, match=r"allowed: documents × 11"):
            call(torch.randn(11))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"output\.fan_in: missing"),
        ({"fan_in": 12}, r"output\.fan_in: 12 of 11 features; allowed: 1 … 11"),
        ({"fan_in": 0}, r"FixedFanIn: key 'fan_in': .*greater than 0, found 0"),
        ({"fanin": 4}, r"FixedFanIn: unknown key 'fanin'; allowed: .*fan_in"),
        ({"fan_in": 4, "feature_dtype": "float16"}, r"FixedFanIn: key 'feature_dtype': .*'bfloat16'"),
        ({"fan_in": 4, "weight_dtype": "float16"}, r"FixedFanIn: key 'weight_dtype': .*'bfloat16'"),
    ],
)
def test_a_layer_that_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        FixedFanIn(11, 23, **settings)
    assert "\n" not in str(caught.value)
