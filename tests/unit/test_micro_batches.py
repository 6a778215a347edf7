"""Gradient accumulation: micro-batches through the encoder, one step of the output layer; and autocast."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.data.batches import Batch
from xmcbench.plan import Run
from xmcbench.positives import Positives
from xmcbench.recipe import TrainRecipe
from xmcbench.training.loop import Trainer

from ..conftest import SmokeData
from ..trainers import trainer_on


@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=12), count=st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_micro_batches_hold_what_the_batch_held(lengths: list[int], count: int) -> None:
    documents = len(lengths)
    offset_B = torch.tensor([0, *np.cumsum(lengths)[:-1]])
    row_P = torch.arange(documents).repeat_interleave(2)
    positives = Positives(documents, row_P, torch.arange(2 * documents))
    batch = Batch(torch.arange(sum(lengths)), offset_B, positives, documents)
    parts = batch.parts(count)
    assert len(parts) == min(count, documents)
    assert sum(p.documents for p in parts) == documents
    assert max(p.documents for p in parts) - min(p.documents for p in parts) <= 1
    assert torch.cat([p.token_T for p in parts]).tolist() == list(range(sum(lengths)))
    assert torch.cat([p.positives.label_P for p in parts]).tolist() == list(range(2 * documents))
    again = [n for p in parts for n in torch.diff(p.offset_B, append=torch.tensor([len(p.token_T)])).tolist()]
    assert again == lengths
    for part in parts:
        assert int(part.offset_B[0]) == 0
        part.positives.require_within(part.documents, 2 * documents)


def trainer_of(run: Run, smoke: SmokeData, batch: int, accumulation: int, **encoder: Any) -> Trainer:
    recipe = run.recipe
    assert isinstance(recipe, TrainRecipe)
    recipe = recipe.model_copy(
        update={
            "training": recipe.training.model_copy(
                update={"batch_size": batch, "accumulation": accumulation, "epochs": 1, "log_every_steps": 1}
            ),
            "encoder": recipe.encoder.model_copy(update=encoder),
        }
    )
    return trainer_on(recipe, smoke, batch * accumulation)


@pytest.mark.parametrize("method", ["fixed_fan_in_set_aux", "fixed_fan_in_set_intermediate", "dense"])
def test_accumulation_trains_as_the_whole_batch_does(
    method: str, smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    whole = trainer_of(smoke_runs[method], smoke, 48, 1, dropout=0.0)
    cut = trainer_of(smoke_runs[method], smoke, 16, 3, dropout=0.0)
    for step in range(2):
        for trainer in (whole, cut):
            trainer.train_step(trainer.batches.at(step))
    assert cut.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=1e-5)
    assert cut.history[0]["encoder_gradient_norm"] == pytest.approx(
        whole.history[0]["encoder_gradient_norm"], rel=1e-4
    )
    if method.endswith("aux"):
        assert cut.history[0]["auxiliary_loss"] == pytest.approx(whole.history[0]["auxiliary_loss"], rel=1e-5)
    assert cut.history[1]["loss"] == pytest.approx(whole.history[1]["loss"], rel=1e-3)


def test_the_second_pass_of_a_micro_batch_draws_the_same_dropout(
    smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    trainer = trainer_of(smoke_runs["dense"], smoke, 8, 2, dropout=0.5)
    first, second = trainer.batches.at(0).parts(2)
    torch.testing.assert_close(trainer._features(first, 0).read_BD, trainer._features(first, 0).read_BD)
    kept = [trainer._features(part, n).read_BD == 0 for n, part in enumerate((first, second))]
    assert not torch.equal(kept[0], kept[1]), "all micro-batches dropped the same features"


def test_autocast_computes_in_bfloat16_and_hands_on_float32(
    smoke_runs: dict[str, Run], smoke: SmokeData, tmp_path: Path
) -> None:
    wide = trainer_of(smoke_runs["dense"], smoke, 32, 1, dropout=0.0)
    narrow = trainer_of(smoke_runs["dense"], smoke, 32, 1, dropout=0.0, autocast="bfloat16")
    seen: list[torch.dtype] = []
    narrow.network.encoder.hidden.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    for trainer in (wide, narrow):
        trainer.train_step(trainer.batches.at(0))
    assert seen == [torch.bfloat16]
    assert all(p.dtype == torch.float32 for p in narrow.network.parameters())
    ours, theirs = narrow.history[0]["loss"], wide.history[0]["loss"]
    assert ours == pytest.approx(theirs, rel=1e-2) and ours != theirs


def test_float16_scales_the_encoders_gradients_and_takes_the_scale_off_again(
    smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    run = smoke_runs["fixed_fan_in_set_aux"]
    wide = trainer_of(run, smoke, 16, 2, dropout=0.0)
    half = trainer_of(run, smoke, 16, 2, dropout=0.0, autocast="float16")
    seen: list[float] = []
    half.network.encoder.hidden.register_full_backward_hook(
        lambda m, i, out: seen.append(float(out[0].norm()))
    )
    for trainer in (wide, half):
        trainer.train_step(trainer.batches.at(0))
    assert half.scaler.get_scale() == 2**12
    ours, theirs = (t.history[0]["encoder_gradient_norm"] for t in (half, wide))
    assert ours == pytest.approx(theirs, rel=1e-2) and ours != theirs
    assert min(seen) > 100 * theirs, "what flows back through the encoder is not scaled"
    first, second = (dict(t.network.encoder.named_parameters()) for t in (half, wide))
    for name, parameter in first.items():
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, second[name], rtol=0.05, atol=2e-3)


def test_a_step_whose_float16_gradients_overflow_is_left_out_and_the_scale_halved(
    smoke_runs: dict[str, Run], smoke: SmokeData
) -> None:
    trainer = trainer_of(smoke_runs["fixed_fan_in_set"], smoke, 32, 1, dropout=0.0, autocast="float16")
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    before = [p.detach().clone() for p in trainer.network.encoder.parameters()]
    output = trainer.network.output.weight_LK.detach().clone()
    trainer.train_step(trainer.batches.at(0))
    for was, now in zip(before, trainer.network.encoder.parameters(), strict=True):
        assert torch.equal(was, now)
    assert not torch.equal(output, trainer.network.output.weight_LK), "the output layer has no float16 in it"
    assert trainer.scaler.get_scale() == 2**99
    assert trainer.history[0]["encoder_gradient_norm"] is None

    kept = trainer.checkpoint()
    other = trainer_of(smoke_runs["fixed_fan_in_set"], smoke, 32, 1, dropout=0.0, autocast="float16")
    other.restore(kept)
    other.train_step(other.batches.at(1))
    trainer.train_step(trainer.batches.at(1))
    assert other.scaler.get_scale() == trainer.scaler.get_scale() == 2**98
    assert other.history == trainer.history


def test_warm_up_in_steps_and_a_coupled_decay(smoke_runs: dict[str, Run], smoke: SmokeData) -> None:
    run = smoke_runs["dense"]
    assert isinstance(run.recipe, TrainRecipe)
    optimizer = run.recipe.encoder.optimizer.model_copy(update={"kind": "adam"})
    trainer = trainer_of(run, smoke, 32, 1, optimizer=optimizer)
    assert type(trainer.optimizers["encoder"]) is torch.optim.Adam
    assert trainer.optimizers["encoder"].param_groups[0]["weight_decay"] == optimizer.weight_decay
    training = trainer.recipe.training.model_copy(update={"warmup_steps": 7})
    recipe = trainer.recipe.model_copy(update={"training": training})
    assert Trainer(recipe, trainer.network, trainer.batches, lambda _: []).warmup == 7
