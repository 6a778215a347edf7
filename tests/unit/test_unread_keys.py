"""A key that would change nothing is refused: by the layer or encoder, by a run, and by `xmcbench check` before anything runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from xmcbench.encoder.encoder import SHARED, require_encoder_keys
from xmcbench.encoder.encoder import build as build_encoder
from xmcbench.errors import ConfigError
from xmcbench.output import FixedFanIn, build
from xmcbench.output.layer import layer_of
from xmcbench.plan import Project, check_keys
from xmcbench.recipe import Encoder, Output, Topology, TrainRecipe, Velora
from xmcbench.recipe_sections import output_kinds

from ..conftest import ROOT, SmokeData
from ..trainers import trainer_on


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (Output(kind="dense", weight_dtype="bfloat16"), "output.weight_dtype: 'bfloat16'"),
        (Output(kind="dense", fan_in=4), "output.fan_in: 4"),
        (Output(kind="fixed_fan_in", fan_in=4, group=2), "output.group: 2"),
        (
            Output(kind="group_fan_in", fan_in=4, group=2, feature_dtype="bfloat16"),
            "output.feature_dtype: 'bfloat16'",
        ),
        (Output(kind="group_fan_in", fan_in=4, group=2, head_share=0.5), "output.head_share: 0.5"),
        (Output(kind="masked", fan_in=4, scores="materialise"), "output.scores: 'materialise'"),
        (Output(kind="low_rank", rank=4, options={"a": 1}), "output.options: {'a': 1}"),
    ],
    ids=lambda value: value.kind if isinstance(value, Output) else "",
)
def test_a_layer_refuses_a_key_that_it_does_not_read(recipe: Output, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{named} would change nothing, .* {recipe.kind} .*; allowed: "):
        build(8, 5, recipe, torch.Generator())


def test_so_does_a_layer_in_a_users_own_model() -> None:
    with pytest.raises(ConfigError, match=r"^output\.group: 4 would change nothing"):
        FixedFanIn(8, 5, fan_in=2, group=4)


VELORA = Velora(sub_tokens=4, layers=("hidden",))


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (Encoder(kind="bag", pooling="cls"), "encoder.pooling: 'cls'"),
        (Encoder(kind="transformer", token_dropout=0.5), "encoder.token_dropout: 0.5"),
        (Encoder(kind="transformer", hidden=64), "encoder.hidden: 64"),
        (Encoder(kind="frozen", activation_checkpointing=True), "encoder.activation_checkpointing: True"),
        (Encoder(kind="frozen", velora=VELORA), "encoder.velora: {.*}"),
    ],
    ids=lambda value: value.kind if isinstance(value, Encoder) else "",
)
def test_an_encoder_refuses_a_key_that_it_does_not_read(recipe: Encoder, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{named} would change nothing, .* {recipe.kind} .*; allowed: "):
        build_encoder(recipe, 30_522, 0, lambda: np.ones(30_522))


def test_every_key_of_the_encoder_section_is_read_by_some_kind() -> None:
    own = {
        "bag": {"hidden": 64, "embedding_scale": 2.0, "token_dropout": 0.1},
        "transformer": {"pooling": "cls", "activation_checkpointing": True, "velora": VELORA},
        "frozen": {"pooling": "cls"},
    }
    for kind, settings in own.items():
        require_encoder_keys(Encoder(kind=kind, **settings))
    assert SHARED | {key for settings in own.values() for key in settings} == Encoder.model_fields.keys()


@pytest.mark.parametrize(
    ("recipe", "topology", "named"),
    [
        (Output(kind="dense"), Topology(), "topology: output.kind dense has no connections"),
        (
            Output(kind="fixed_fan_in", fan_in=4),
            Topology(removed_channels=0.5),
            "topology.removed_channels: 0.5",
        ),
        (Output(kind="masked_fixed_fan_in", fan_in=4), Topology(ablation=0.5), "topology.ablation: 0.5"),
        (Output(kind="masked", fan_in=4), Topology(ablation=0.5), "topology.ablation: 0.5"),
    ],
    ids=["dense", "fixed_fan_in", "masked_fixed_fan_in", "masked"],
)
def test_a_topology_is_for_layers_that_rewire_so(recipe: Output, topology: Topology, named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named}.*; allowed: "):
        layer_of(recipe.kind).require_read(recipe, topology)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"feature_dtype": "bfloat16", "scores": "materialise"}, "output.feature_dtype: bfloat16 needs"),
        ({"weight_dtype": "bfloat16", "scores": "materialise"}, "output.weight_dtype: bfloat16 needs"),
        ({"weight_dtype": "float8_e4m3fn"}, "output.weight_dtype: float8_e4m3fn has no"),
    ],
)
def test_what_no_kernel_computes_is_refused_before_there_is_a_layer(
    settings: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{named} .*; allowed: "):
        layer_of("fixed_fan_in").require_read(Output.model_validate({"kind": "fixed_fan_in", **settings}))


def test_a_run_refuses_it_before_it_trains(smoke: SmokeData) -> None:
    recipe = TrainRecipe(dataset="d", method="m", budget="b", topology=Topology())
    with pytest.raises(ConfigError, match=r"^topology: output\.kind dense has no connections"):
        trainer_on(recipe, smoke, 64)


@pytest.mark.parametrize("kind", output_kinds())
def test_what_a_layer_says_to_read_is_a_key(kind: str) -> None:
    known = {*Output.model_fields, *(f"topology.{key}" for key in Topology.model_fields)}
    assert layer_of(kind).reads <= known


def test_what_we_plan_passes() -> None:
    check_keys(Project(ROOT / "config").check())


@pytest.mark.parametrize(
    ("recipe", "named"),
    [("output: {rank: 8}", "output.rank: 8"), ("encoder: {pooling: cls}", "encoder.pooling: 'cls'")],
)
def test_check_names_the_method(tmp_path: Path, recipe: str, named: str) -> None:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    own = f"extends: fixed_fan_in_set\nlabel: Mine\norder: 999\nrecipe: {{{recipe}}}\n"
    (config / "methods/mine.yaml").write_text(own)
    with pytest.raises(ConfigError, match=rf"^config/methods/mine\.yaml .*: {named} would change nothing"):
        check_keys(Project(config).runs("methods"))
