"""SVD training through the trainer: its rank is cut for good, and a run resumed on either side ends in the same bytes."""

import logging
from pathlib import Path

import pytest
import torch

from xmcbench.output.layer import optimizer_bytes
from xmcbench.output.low_rank_svd import LowRankSvd
from xmcbench.training import checkpoint as checkpoints
from xmcbench.training.loop import Trainer

from ..conftest import SmokeData
from .test_methods import token_folders, trainer_of

__all__ = ["token_folders"]  # a fixture

CUT = 2


def trainer(smoke: SmokeData, folders: dict[bool, Path]) -> Trainer:
    """A trainer of low_rank_svd whose cut is at step 2."""
    made = trainer_of("low_rank_svd", smoke, folders)
    layer = made.network.output
    assert isinstance(layer, LowRankSvd)
    keys = {"energy": 0.6, "cut_share": (CUT + 0.5) / made.total}
    layer.svd = layer.svd.model_copy(update=keys)
    return made


@pytest.mark.parametrize("saved_at", [CUT - 1, CUT, CUT + 1])
def test_a_run_resumed_across_the_cut_ends_in_the_same_bytes(
    saved_at: int,
    smoke: SmokeData,
    token_folders: dict[bool, Path],
    tmp_path: Path,
) -> None:
    first = trainer(smoke, token_folders)
    ranks = []
    for step in range(4):
        first.train_step(first.batches.at(step))
        ranks.append(len(first.network.output.get_parameter("sigma_R")))
        if first.step == saved_at:
            checkpoints.save(tmp_path, first.recipe, first.checkpoint())
    assert ranks[0] == 64 > ranks[1] == ranks[2] == ranks[3]

    output, optimizer = first.network.output, first.optimizers["output"]
    declared = output.memory(optimizer)
    assert declared["weight"] == sum(p.untyped_storage().nbytes() for p in output.parameters())
    assert declared["optimizer"] == optimizer_bytes(optimizer)
    # Weight and two moments a number, and a step count of 4 bytes for each of the four parameters.
    assert declared["optimizer"] == 2 * declared["weight"] + 4 * 4

    second = trainer(smoke, token_folders)
    found = checkpoints.load_latest(tmp_path, second.recipe, logging.getLogger("test"))
    assert found and found.step == saved_at
    second.restore(found)
    for step in range(saved_at, 4):
        second.train_step(second.batches.at(step))
    ours, theirs = first.checkpoint().tensors, second.checkpoint().tensors
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
