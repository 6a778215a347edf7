"""Configuration to runs; every mistake is one line with file, key and what is allowed."""

import re
from pathlib import Path

import pytest

from xmcbench.cli import main
from xmcbench.errors import ConfigError, DeviceError
from xmcbench.plan import Project, check_devices, parse_tokens_name, point_name, tokens_name
from xmcbench.recipe import Topology, TrainRecipe, canonical, merge, recipe_hash
from xmcbench.schemas import FILES, schema_text

from ..conftest import ROOT, replace


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_the_quick_grid_is_the_slice(project: Project) -> None:
    runs = project.runs("quick")
    assert len(runs) == 13 and {r.budget for r in runs} == {"quick"}
    trained = [r.recipe for r in runs if isinstance(r.recipe, TrainRecipe)]
    assert {r.encoder.features for r in trained} == {384}
    assert len({(r.training.epochs, r.training.batch_size) for r in trained}) == 1, "equal steps for all"
    assert {r.output.fan_in or r.output.rank or 32 for r in trained} == {32}


def test_axes_alone_join_the_name_and_change_the_recipe(config: Path) -> None:
    (config / "grids" / "sweep.yaml").write_text(
        "cells:\n- budget: smoke\n  datasets: [wordnet-33k]\n  methods: [fixed_fan_in_set_aux]\n  seeds: [1, 2]\n"
        "  axes:\n    fan_in: {key: output.fan_in, values: [16, 64]}\n    cutoff: {key: auxiliary.cutoff_epochs, values: [5.0]}\n"
    )
    runs = Project(config).runs("sweep")
    assert [r.method for r in runs] == [
        f"fixed_fan_in_set_aux@fan_in={k},cutoff=5.0" for k in (16, 64) for _ in (1, 2)
    ]
    assert runs[0].folder == "results/runs/smoke/wordnet-33k/fixed_fan_in_set_aux@fan_in=16,cutoff=5.0/seed1"
    recipe = runs[0].recipe
    assert isinstance(recipe, TrainRecipe) and recipe.output.fan_in == 16
    assert recipe.auxiliary is not None and recipe.auxiliary.cutoff_epochs == 5.0
    assert point_name("dense", {}) == "dense"


def test_extends_takes_over_and_null_removes(config: Path) -> None:
    (config / "methods" / "child.yaml").write_text(
        "extends: fixed_fan_in_set_aux\nrecipe:\n  auxiliary: null\n  output: {fan_in: 8}\n"
    )
    (config / "grids" / "one.yaml").write_text(
        "cells:\n- {budget: smoke, datasets: [wordnet-33k], methods: [child]}\n"
    )
    recipe = Project(config).runs("one")[0].recipe
    assert isinstance(recipe, TrainRecipe)
    assert recipe.auxiliary is None
    assert (recipe.output.fan_in, recipe.topology) == (8, Topology())


def test_comments_do_not_change_a_recipe_and_values_do(config: Path) -> None:
    before = {r.method: canonical(r.recipe) for r in Project(config).runs("quick")}
    file = config / "methods" / "dense.yaml"
    append(file, "# a remark\n")
    assert {r.method: canonical(r.recipe) for r in Project(config).runs("quick")} == before
    file.write_text(
        file.read_text().replace("output_optimizer: {learning_rate: ", "output_optimizer: {learning_rate: 1")
    )
    after = {r.method: canonical(r.recipe) for r in Project(config).runs("quick")}
    assert [m for m in before if before[m] != after[m]] == ["dense", "dense_chunked"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("grids/quick.yaml", "- dense\n", "- dens\n", r"grids/quick\.yaml: key 'methods': unknown value 'dens'; allowed: .*dense_bottleneck"),
        ("grids/quick.yaml", "[wordnet-33k]", "[wordnet]", r"grids/quick\.yaml: key 'datasets': unknown value 'wordnet'; allowed: .*wordnet-33k"),
        ("grids/quick.yaml", "budget: quick", "budget: fast", r"grids/quick\.yaml: key 'budget': unknown value 'fast'; allowed: full, labels_eighth, .*paper_official, paper_printed, quick"),
        ("grids/quick.yaml", "seeds:", "sedes:", r"grids/quick\.yaml: unknown key 'cells\.0\.sedes'; allowed: .*seeds"),
        ("grids/same_draws.yaml", "encoder.dropout", "encoder.dropuot", r"grids/same_draws\.yaml: recipe: unknown key 'encoder\.dropuot'; allowed: .*dropout"),
        ("grids/same_draws.yaml", "[0.425]", "[1.425]", r"grids/same_draws\.yaml: recipe: key 'encoder\.dropout': .*less than or equal to 1, found 1\.425"),
        ("grids/same_draws.yaml", "encoder.dropout", "encoder.optimizer", r"grids/same_draws\.yaml: key 'axes': encoder\.optimizer and encoder\.optimizer\.\w+ set one recipe key"),
        ("grids/same_draws.yaml", "encoder.dropout", "topology.fraction", r"grids/same_draws\.yaml: key 'axes': topology\.fraction and topology\.fraction set one recipe key"),
        ("grids/tuning.yaml", "encoder.dropout", "output.initial_range", r"grids/tuning\.yaml: key 'search': output\.initial_range and output\.initial_range set one recipe key"),
        ("methods/dense.yaml", "kind: dense", "kind: dence", r"methods/dense\.yaml: recipe: key 'output\.kind': unknown value 'dence'; allowed: block_tensor_train, dense, dense_chunked"),
        ("methods/dense.yaml", "learning_rate:", "learning_rte:", r"methods/dense\.yaml: recipe: unknown key 'output_optimizer\.learning_rte'; allowed: kind, learning_rate"),
        ("methods/dense.yaml", "output_optimizer: {learning_rate: ", "output_optimizer: {learning_rate: fast, momentum: ", r"methods/dense\.yaml: recipe: key 'output_optimizer\.learning_rate': .*number, found 'fast'"),
        ("methods/dense.yaml", "output_optimizer: {learning_rate: ", "output_optimizer: {learning_rate: .inf, weight_decay: ", r"methods/dense\.yaml: recipe: key 'output_optimizer\.learning_rate': .*finite number, found inf"),
        ("methods/dense.yaml", "kind: dense", "kind: dense, initial_bias: .nan", r"methods/dense\.yaml: recipe: key 'output\.initial_bias': .*finite number, found nan"),
        ("methods/dense.yaml", "output_optimizer: {", "output_optimizer: {momentum: 0.9, ", r"methods/dense\.yaml: recipe: .*output_optimizer.*momentum: 0\.9 is for sgd.*; allowed: 0"),
        ("methods/dense.yaml", "extends: _base", "extends: _bas", r"methods/dense\.yaml: key 'extends': unknown value '_bas'; allowed: .*_base"),
        ("methods/dense.yaml", "recipe:\n", "recipe:\n  gradient_probe: {learning_rate: 0.001}\n  encoder: {autocast: float16}\n", r"methods/dense\.yaml: recipe: .*gradient_probe: encoder\.autocast is float16"),
        ("methods/dense.yaml", "recipe:\n", "recipe:\n  training: {epochs: 20}\n", r"methods/dense\.yaml: recipe: key 'training\.epochs': 20, but budget '\w+' sets \d+ for every method; allowed: "),
        ("methods/dense.yaml", "recipe:", "recipe: [", r"methods/dense\.yaml, line \d+: not valid YAML"),
        ("methods/dense.yaml", "label: Dense", "label: Dense\nlabel: Other", r"methods/dense\.yaml, line 3: key 'label' is there twice, first in line 2"),
        ("methods/dense.yaml", "kind: dense", "kind: dense_chunked, kind: dense", r"methods/dense\.yaml, line \d+: key 'kind' is there twice"),
        ("methods/dense.yaml", "label: Dense", "labl: Dense", r"methods/dense\.yaml: unknown key 'labl'; allowed: .*label"),
        ("methods/_fixed_fan_in.yaml", "fan_in: 32", "fan_in: 999", r"methods/fixed_fan_in\w*\.yaml: recipe: .*exceeds the 384 features it reads; allowed: 1 … 384"),
        ("budgets/quick.yaml", "epochs: 10", "epochs: many", r"budgets/quick\.yaml: recipe: key 'training\.epochs': .*integer, found 'many'"),
        ("budgets/quick.yaml", "share: 0.3", "share: 3", r"budgets/quick\.yaml: key 'sample\.share': .*less than or equal to 1, found 3"),
        ("datasets/wordnet-33k.yaml", "max_length: 32", "max_length: long", r"datasets/wordnet-33k\.yaml: key 'max_length': .*integer, found 'long'"),
        ("datasets/wordnet-33k.yaml", "label_field:", "labels_field:", r"datasets/wordnet-33k\.yaml: unknown key 'source\.labels_field'; allowed: crlf, file"),
        ("datasets/wordnet-33k.yaml", "format: jsonl_xz", "format: csv", r"datasets/wordnet-33k\.yaml: key 'source': .*'csv'.*'pecos'"),
        ("datasets/wiki10.yaml", "format: pecos", "format: pecos\n  file: x", r"datasets/wiki10\.yaml: key 'source': format pecos has no keys file and label_field; allowed: folder"),
        ("datasets/synthetic.yaml", "words_per_document", "words_a_document", r"datasets/synthetic\.yaml: unknown key 'source\.words_a_document'; allowed: documents_test"),
        ("datasets/wordnet-33k.yaml", "max_length: 32\n", "", r"datasets/wordnet-33k\.yaml: key 'max_length' is missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_key_and_allowed_values(
    config: Path, file: str, old: str, new: str, message: str
) -> None:
    replace(config / file, old, new)
    with pytest.raises(ConfigError) as caught:
        Project(config).check()
    assert "\n" not in str(caught.value)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_keys_that_an_alias_brings_may_be_set_again(config: Path) -> None:
    file = config / "methods" / "with_alias.yaml"
    file.write_text(
        "extends: dense\nrecipe:\n  encoder:\n    optimizer: &rates {learning_rate: 0.5, weight_decay: 0.25}\n"
        "  output_optimizer: {<<: *rates, learning_rate: 0.125}\n"
    )
    recipe = Project(config).methods["with_alias"].recipe
    assert recipe["output_optimizer"] == {"learning_rate": 0.125, "weight_decay": 0.25}


@pytest.mark.parametrize("text", ["", "# not yet\n", "label: Mine\n", "extends: null\nrecipe: {}\n"])
def test_a_method_that_says_nothing_is_refused(config: Path, text: str) -> None:
    (config / "methods" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"methods/mine\.yaml.*allowed: 'extends', 'runner' or 'recipe'$"):
        Project(config)


def test_a_file_that_would_be_passed_over_is_named(config: Path) -> None:
    (config / "methods" / "mine.yml").write_text("extends: dense\n")
    with pytest.raises(ConfigError, match=r"methods/mine\.yml: would not be read; allowed: mine\.yaml$"):
        Project(config)


def test_a_circle_of_extends_is_named(config: Path) -> None:
    (config / "methods" / "a.yaml").write_text("extends: b\n")
    (config / "methods" / "b.yaml").write_text("extends: a\n")
    with pytest.raises(ConfigError, match="extends itself in a circle"):
        Project(config)


def test_cuda_where_there_is_none_stops_the_plan(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    append(config / "methods" / "dense.yaml", "  training: {device: cuda}\n")
    with pytest.raises(DeviceError, match=r"methods/dense\.yaml.*'training\.device': cuda .*allowed: cpu"):
        check_devices(Project(config).runs("quick"))


def test_token_folder_names_read_back() -> None:
    for parts in (("packaged/minilm-l6", 32, False), ("org/some-model", 128, True)):
        assert parse_tokens_name(tokens_name(*parts)) == parts


def test_merge_does_not_touch_its_layers() -> None:
    low = {"a": {"b": 1, "c": 2}}
    assert merge(low, {"a": {"b": 3}}, {"a": {"c": None}}) == {"a": {"b": 3, "c": None}}
    assert low == {"a": {"b": 1, "c": 2}}


def test_recipe_hash_depends_on_values_alone() -> None:
    one = TrainRecipe(dataset="d", method="m", budget="b")
    assert recipe_hash(one) == recipe_hash(TrainRecipe(method="m", budget="b", dataset="d", seed=1))
    assert recipe_hash(one) != recipe_hash(TrainRecipe(dataset="d", method="m", budget="b", seed=2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "--recipe: not JSON (Expecting property name"),
        ("[1]", "--recipe: '[1]' is no JSON object"),
        ('{"seed": 1}', "--recipe: key 'dataset' is missing"),
        (
            '{"dataset": "d", "method": "m", "budget": "b", "speed": 1}',
            "--recipe: unknown key 'speed'; allowed: ",
        ),
    ],
)
def test_a_recipe_given_by_hand_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ("--sample", str(tmp_path), "--tokens", str(tmp_path))
    assert main(["train", "--recipe", text, "--run", str(tmp_path / "run"), *folders]) == 2
    assert f"error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(FILES))
def test_schemas_are_those_of_the_models(name: str) -> None:
    stored = (ROOT / "workflow" / "schemas" / f"{name}.schema.json").read_text()
    assert stored == schema_text(FILES[name]), "run: xmcbench schemas --out workflow/schemas"
