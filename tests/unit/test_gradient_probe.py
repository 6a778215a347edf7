"""A dense layer beside the run's own says what gradient it would give the encoder, and changes nothing."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from xmcbench.plan import Run
from xmcbench.recipe import GradientProbe, TrainRecipe
from xmcbench.training import checkpoint as checkpoints
from xmcbench.training.gradients import cosine, norm
from xmcbench.training.loop import Trainer

from ..conftest import SmokeData
from ..trainers import trainer_on


def trainer_of(run: Run, smoke: SmokeData, probe: bool = True) -> Trainer:
    recipe = run.recipe
    assert isinstance(recipe, TrainRecipe)
    training = recipe.training.model_copy(update={"epochs": 1, "log_every_steps": 2, "batch_size": 256})
    update = {"training": training, "gradient_probe": GradientProbe() if probe else None}
    recipe = recipe.model_copy(update=update)
    return trainer_on(recipe, smoke, 256)


def rows_of(trainer: Trainer) -> list[dict[str, Any]]:
    return [row for row in trainer.history if row["kind"] == "step"]


def test_norm_and_cosine_by_hand() -> None:
    row = torch.tensor([[0, 2, 2]])
    sparse = torch.sparse_coo_tensor(
        row, torch.tensor([3.0, 1.0, 3.0]), (4,), check_invariants=True
    )  # 3 0 4 0
    other = torch.sparse_coo_tensor(
        torch.tensor([[2, 3]]), torch.tensor([4.0, 3.0]), (4,), check_invariants=True
    )
    dense = torch.tensor([0.0, 12.0])
    assert norm([sparse, dense, None]) == pytest.approx(13)
    assert cosine([sparse, dense], [sparse, dense]) == pytest.approx(1)
    assert cosine([sparse, dense], [sparse, None]) == pytest.approx(25 / (13 * 5))
    assert cosine([sparse], [other]) == pytest.approx(16 / 25)
    assert cosine([sparse], [other.to_dense()]) == pytest.approx(16 / 25)
    assert cosine([dense], [torch.zeros(2)]) is None


def test_of_a_dense_layer_that_is_the_probe_itself_the_cosine_is_1(
    smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    trainer = trainer_of(smoke_runs["dense"], smoke)
    assert trainer.probe is not None
    trainer.probe.layer.load_state_dict(trainer.network.output.state_dict())
    trainer.train_step(trainer.batches.at(0))
    (row,) = rows_of(trainer)
    assert row["probe_cosine"] == pytest.approx(1, abs=1e-5)
    assert row["probe_gradient_norm"] == pytest.approx(row["encoder_gradient_norm"], rel=1e-5)


def test_a_sparse_layer_is_less_near_and_the_probe_learns(
    smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    trainer = trainer_of(smoke_runs["fixed_fan_in_set"], smoke)
    layer = trainer.probe.layer if trainer.probe else None
    assert layer is not None
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    list(trainer.run())
    rows = rows_of(trainer)
    assert rows and all(-1 < row["probe_cosine"] < 0.99 for row in rows)
    assert all(math.isfinite(row["probe_gradient_norm"]) for row in rows)
    assert all(not torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


@pytest.mark.parametrize("method", ["fixed_fan_in_set", "fixed_fan_in_set_aux"])
def test_a_probe_changes_no_bit_of_a_run_and_is_in_no_model_file(
    method: str, smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    torch.set_num_threads(1)
    probed, plain = (trainer_of(smoke_runs[method], smoke, probe) for probe in (True, False))
    list(probed.run())
    list(plain.run())
    ours, theirs = probed.network.state_dict(), plain.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [row["loss"] for row in rows_of(probed)] == [row["loss"] for row in rows_of(plain)]
    assert not any("probe_cosine" in row for row in rows_of(plain))


def test_a_resumed_probe_goes_on_as_if_nothing_had_happened(
    smoke_runs: dict[str, Run], smoke: SmokeData, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    run = smoke_runs["fixed_fan_in_set"]
    whole, first, second = (trainer_of(run, smoke) for _ in range(3))
    list(whole.run())
    for step in first.run():
        if step == 5:
            break
    checkpoints.save(tmp_path, first.recipe, first.checkpoint())
    found = checkpoints.load_latest(tmp_path, second.recipe, logging.getLogger("test"))
    assert found is not None and found.step == 5
    second.restore(found)
    list(second.run())
    assert second.history == whole.history

    third = trainer_of(run, smoke)  # of a checkpoint of the end, which holds no probe any more
    third.restore(whole.checkpoint())
    assert third.probe is None and list(third.run()) == []


def test_a_probe_is_refused_where_it_could_say_nothing(smoke_runs: dict[str, Run]) -> None:
    recipe = smoke_runs["fixed_fan_in_set"].recipe
    assert isinstance(recipe, TrainRecipe)
    values = recipe.model_dump() | {"gradient_probe": {"learning_rate": 0.001}}
    frozen = values | {"encoder": values["encoder"] | {"kind": "frozen"}}
    with pytest.raises(ValidationError, match="gradient_probe: a frozen encoder gets no gradient"):
        TrainRecipe.model_validate(frozen)
    micro = values | {"training": values["training"] | {"accumulation": 2}}
    with pytest.raises(ValidationError, match=r"gradient_probe: training.accumulation is above 1"):
        TrainRecipe.model_validate(micro)
    half = values | {"encoder": values["encoder"] | {"autocast": "float16"}}
    with pytest.raises(ValidationError, match=r"gradient_probe: encoder\.autocast is float16"):
        TrainRecipe.model_validate(half)
    TrainRecipe.model_validate(values | {"encoder": values["encoder"] | {"autocast": "bfloat16"}})
