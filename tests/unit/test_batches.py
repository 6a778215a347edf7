"""Batches: every document once an epoch, in batches that depend on (seed, step) alone, and training goes on from them."""

import itertools
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.data.batches import Batches
from xmcbench.data.prefetch import ahead
from xmcbench.data.store import Split, Texts
from xmcbench.encoder.transformer import padded
from xmcbench.errors import ConfigError
from xmcbench.plan import Project, Run
from xmcbench.recipe import TrainRecipe
from xmcbench.training import checkpoint as checkpoints
from xmcbench.training.loop import Trainer

from ..conftest import SmokeData
from ..trainers import trainer_on

NONE = Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64))


def lists(values: list[list[int]], dtype: type = np.int32) -> tuple[np.ndarray, np.ndarray]:
    flat = np.array([v for its in values for v in its], dtype)
    return flat, np.cumsum([0, *map(len, values)]).astype(np.int64)


def split_of(labels: list[list[int]]) -> Split:
    indices, indptr = lists(labels)
    return Split(len(labels), indptr, indices, NONE, NONE)


def of_lengths(lengths: list[int], batch_size: int, length_bucket: int, seed: int = 0) -> Batches:
    """Documents of these lengths; the tokens and the label of a document are its number."""
    tokens = lists([[i] * length for i, length in enumerate(lengths)], np.uint16)
    split = split_of([[i] for i in range(len(lengths))])
    return Batches([split], [tokens], batch_size, seed, length_bucket)


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    batch_size=st.integers(1, 9),
    bucket=st.integers(0, 5),
    seed=st.integers(0, 3),
    epoch=st.integers(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_every_document_once_an_epoch(
    lengths: list[int], batch_size: int, bucket: int, seed: int, epoch: int
) -> None:
    batches = of_lengths(lengths, batch_size, bucket, seed)
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    made = [batches.at(step) for step in steps]
    assert [b.documents for b in made[:-1]] == [batch_size] * (len(made) - 1)
    assert sorted(int(i) for b in made for i in b.positives.label_P) == list(range(len(lengths)))
    alone = of_lengths(lengths, batch_size, bucket, seed)
    for step, batch in reversed(list(zip(steps, made, strict=True))):
        again = alone.at(step)
        assert again.token_T.equal(batch.token_T) and again.positives.label_P.equal(batch.positives.label_P)
        for row, i in enumerate(batch.positives.label_P.tolist()):
            end = batch.offset_B[row + 1] if row + 1 < batch.documents else batch.token_T.numel()
            assert batch.token_T[batch.offset_B[row] : end].tolist() == [i] * lengths[i]


def test_without_buckets_the_order_is_the_plain_shuffle() -> None:
    batches = of_lengths(list(range(23)), 5, 0, seed=7)
    for epoch in (0, 3):
        order = np.random.default_rng([7, epoch]).permutation(23)
        rows = [batches.rows(epoch * 5 + step) for step in range(5)]
        assert np.concatenate(rows).tolist() == order.tolist() and len(rows[-1]) == 3


def test_a_pool_is_sorted_by_length_and_cut() -> None:
    # 40 documents of 40 lengths, one pool of ten batches: four neighbours in length each, and two left over for last.
    lengths = np.random.default_rng(0).permutation(42).tolist()
    batches = of_lengths(lengths, 4, 100)
    held = [sorted(lengths[i] for i in batches.rows(step)) for step in range(11)]
    assert [len(its) for its in held] == [4] * 10 + [2]
    ranges = sorted((its[0], its[-1]) for its in held[:-1])
    assert all(low[1] < high[0] for low, high in itertools.pairwise(ranges))
    assert ranges != [(its[0], its[-1]) for its in held[:-1]], "batches go through lengths in no order"
    assert held[-1] != [40, 41] or sorted(lengths[i] for i in batches.rows(21)) != [40, 41]


def test_each_pool_mixes_lengths_in_one_batch_at_most() -> None:
    # Half of the documents have 1 token, half 10: a pool has one batch at most on the border between them.
    lengths = [1, 10] * 64
    mixed = {}
    for bucket in (0, 4):
        batches = of_lengths(lengths, 8, bucket)
        mixed[bucket] = sum(len({lengths[i] for i in batches.rows(s)}) > 1 for s in range(16))
    assert mixed[4] <= 4 and mixed[0] >= 12
    other = [of_lengths(lengths, 8, 4, seed).rows(0).tolist() for seed in (0, 1)]
    assert other[0] != other[1]


@given(
    parts=st.lists(
        st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), min_size=1, max_size=4
    ).filter(lambda parts: any(parts)),
    bucket=st.integers(0, 2),
)
@settings(max_examples=80, deadline=None)
def test_several_splits_are_as_one(parts: list[list[list[int]]], bucket: int) -> None:
    """An empty split among them, too."""
    joined = [its for part in parts for its in part]
    numbers = iter(range(len(joined)))
    labels = [[[next(numbers)] for _ in part] for part in parts]
    several = Batches([split_of(its) for its in labels], [lists(part) for part in parts], 3, 5, bucket)
    one = Batches([split_of([[i] for i in range(len(joined))])], [lists(joined)], 3, 5, bucket)
    for step in range(2 * one.steps_per_epoch):
        a, b = several.at(step), one.at(step)
        assert a.token_T.equal(b.token_T) and a.offset_B.equal(b.offset_B)
        assert a.positives.label_P.equal(b.positives.label_P) and a.positives.row_P.equal(b.positives.row_P)
        assert a.token_T.dtype == torch.int64


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_no_batch(workers: int) -> None:
    lengths = [i % 7 for i in range(50)]
    alone, helped = of_lengths(lengths, 4, 3), of_lengths(lengths, 4, 3)
    # From the middle of an epoch over the border of two: workers are ahead in an epoch that this one has not begun.
    made = list(ahead(helped, 9, 41, workers))
    expected = list(ahead(alone, 9, 41, 0))
    assert len(made) == len(expected) == 32
    for a, b in zip(made, expected, strict=True):
        assert a.token_T.equal(b.token_T) and a.positives.label_P.equal(b.positives.label_P)


def test_a_workers_failure_reaches_the_step_and_ends_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = of_lengths([1] * 40, 4, 0)
    whole = batches.at

    def broken(step: int) -> object:
        if step == 6:
            raise OSError("the disk is gone")
        return whole(step)

    monkeypatch.setattr(batches, "at", broken)
    made = ahead(batches, 0, 10, 2)
    assert len([next(made) for _ in range(6)]) == 6
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)
    left = ahead(batches, 0, 5, 2)
    next(left)
    left.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"XMCBENCH_LOADER_WORKERS .*: -1; allowed: 0 or more"):
        next(ahead(of_lengths([1], 1, 0), 0, 1, -1))


def test_padding_by_hand() -> None:
    token_BS, mask_BS = padded(torch.tensor([7, 8, 0, 9]), torch.tensor([0, 3, 3]), pad_id=1)
    assert token_BS.tolist() == [[7, 8, 0], [1, 1, 1], [9, 1, 1]]
    assert mask_BS.tolist() == [[True, True, True], [False] * 3, [True, False, False]]
    token_BS, _ = padded(torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0]), pad_id=1)
    assert token_BS.tolist() == [[1], [1]]


def test_methods_with_a_padding_encoder_bucket_by_length(project: Project) -> None:
    encoders = {
        name: (method.recipe.get("encoder", {}).get("kind"), method.recipe.get("data", {}))
        for name, method in project.methods.items()
    }
    padding = [data for kind, data in encoders.values() if kind == "transformer"]
    assert padding and all(data.get("length_bucket", 0) > 0 for data in padding)


def trainer_of(run: Run, smoke: SmokeData, workers: int) -> Trainer:
    recipe = run.recipe
    assert isinstance(recipe, TrainRecipe)
    data = recipe.data.model_copy(update={"length_bucket": 3})
    encoder = recipe.encoder.model_copy(update={"hidden": 16})
    recipe = recipe.model_copy(update={"data": data, "encoder": encoder})
    return trainer_on(recipe, smoke, 512, workers)


def test_training_resumed_in_a_bucketed_epoch_ends_in_the_same_bits(
    smoke_runs: dict[str, Run], smoke: SmokeData, tmp_path: Path
) -> None:
    """Stopped within the second epoch; the interrupted one has workers, the other none."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    run = smoke_runs["fixed_fan_in_set"]
    whole = trainer_of(run, smoke, 0)
    assert list(whole.run())[-1] == whole.total == 14

    first = trainer_of(run, smoke, 2)
    for step in first.run():
        if step == 9:
            break
    checkpoints.save(tmp_path, first.recipe, first.checkpoint())
    second = trainer_of(run, smoke, 1)
    found = checkpoints.load_latest(tmp_path, second.recipe, logging.getLogger("test"))
    assert found is not None and found.step == 9
    second.restore(found)
    assert list(second.run())[-1] == 14
    ours, theirs = second.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert second.history == whole.history
