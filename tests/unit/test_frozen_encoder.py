"""A frozen encoder: features computed once, nothing of it trained or saved."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xmcbench.data.batches import Batches
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore, tokenise
from xmcbench.encoder import build
from xmcbench.encoder.encoder import Encoder, TokenLists
from xmcbench.encoder.frozen import Frozen
from xmcbench.errors import Interrupted
from xmcbench.plan import Project, Run
from xmcbench.recipe import Encoder as Recipe
from xmcbench.recipe import TrainRecipe
from xmcbench.training.loop import Trainer
from xmcbench.training.network import Network
from xmcbench.training.run import train_run

from ..conftest import SmokeData

TOKENS = torch.tensor([101, 2000, 102, 101, 3000, 4000, 102, 101, 2000, 102])
OFFSETS = torch.tensor([0, 3, 7])


def frozen() -> Frozen:
    encoder = build(Recipe(kind="frozen"), 30522, 0, lambda: np.ones(30522))
    assert isinstance(encoder, Frozen)
    return encoder


def test_features_are_the_transformers_and_computed_once_a_document() -> None:
    encoder = frozen()
    x_BD = encoder(TOKENS, OFFSETS)
    assert encoder.kept == 2, "the first and the last document are equal"
    transformer = build(Recipe(kind="transformer"), 30522, 0, lambda: np.ones(30522)).eval()
    with torch.no_grad():
        torch.testing.assert_close(x_BD, transformer(TOKENS, OFFSETS), atol=1e-5, rtol=1e-4)
    # Whatever the batch, the same bits: a resumed run sees its documents in other company.
    alone = frozen()(TOKENS[3:7], OFFSETS[:1])
    assert torch.equal(alone[0], x_BD[1])
    assert torch.equal(encoder.train()(TOKENS, OFFSETS), x_BD) and encoder.kept == 2


def lists(*documents: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """A split as a token store has it."""
    ends = np.cumsum([0, *(len(d) for d in documents)])
    return np.array([t for d in documents for t in d], dtype=np.uint16), ends


def test_features_computed_ahead_are_the_same_whatever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equally long documents pass the transformer together, in an order that the corpus alone decides."""
    rng = np.random.default_rng(0)
    documents = [[101, *rng.integers(1000, 9000, size=n % 5), 102] for n in range(40)]
    monkeypatch.setattr("xmcbench.encoder.frozen.DOCUMENTS", 3)
    ahead, other = frozen(), frozen()
    cpu = torch.device("cpu")
    ahead.prepare([lists(*documents[:25]), lists(*documents[25:])], cpu)
    other.prepare([lists(*documents[::-1])], cpu)
    token_T = torch.tensor([t for d in documents for t in d])
    offset_B = torch.tensor(np.cumsum([0, *(len(d) for d in documents[:-1])]))
    kept = ahead.kept
    x_BD = ahead(token_T, offset_B)
    assert ahead.kept == kept == len({tuple(d) for d in documents}), "nothing is left to compute"
    assert torch.equal(x_BD, other(token_T, offset_B))
    torch.testing.assert_close(x_BD, frozen()(token_T, offset_B), atol=1e-5, rtol=1e-4)
    # A second split adds its own and leaves the first alone; documents that were given before are not computed again.
    ahead.prepare([lists([101, 5, 102], *documents)], cpu)
    assert ahead.kept == kept + 1 and torch.equal(ahead(token_T, offset_B), x_BD)


def test_what_is_computed_ahead_can_be_stopped_and_gone_on_with() -> None:
    encoder, documents = frozen(), lists([101, 102], [101, 7, 102], [101, 7, 8, 102])

    class Stopped(Exception):
        pass

    def alive() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        encoder.prepare([documents], torch.device("cpu"), alive)
    assert encoder.kept == 1
    encoder.prepare([documents], torch.device("cpu"))
    assert encoder.kept == 3


def test_a_run_that_goes_on_asks_for_splits_in_the_same_order(
    smoke: SmokeData, smoke_runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents of two splits would else be computed in other company; also where all that is left is to predict."""
    recipe = smoke_runs["fixed_fan_in_set"].recipe
    assert isinstance(recipe, TrainRecipe)
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 1})})
    asked: list[tuple[int, ...]] = []

    def prepare(self: Encoder, splits: TokenLists, device: torch.device, alive: object = None) -> None:
        asked.append(tuple(len(offsets) - 1 for _, offsets in splits))

    def stopped(*_: object) -> None:
        raise Interrupted("SIGTERM")

    def run() -> list[tuple[int, ...]]:
        asked.clear()
        train_run(recipe, tmp_path / "run", smoke.sample, smoke.tokens, None, 60.0, logging.getLogger())
        return list(dict.fromkeys(asked))

    monkeypatch.setattr(Encoder, "prepare", prepare)
    with monkeypatch.context() as early, pytest.raises(Interrupted):
        early.setattr("xmcbench.training.run._publish", stopped)
        run()
    before = list(dict.fromkeys(asked))
    after = run()
    store = PreparedStore.open(smoke.sample)
    train, validation, test = (store.split(name).documents for name in ("train", "validation", "test"))
    assert before == [(train,), (validation,)] and after == [(train,), (validation,), (test,)]


def test_nothing_of_it_is_trained_or_saved() -> None:
    encoder = frozen()
    assert not list(encoder.parameters()) and not encoder.state_dict()
    assert not encoder(TOKENS, OFFSETS).requires_grad


@pytest.mark.parametrize(
    "method", ["fixed_fan_in_set", "fixed_fan_in_set_intermediate", "fixed_fan_in_set_aux"]
)
def test_output_layer_and_heads_train_on_it(
    method: str,
    smoke: SmokeData,
    smoke_runs: dict[str, Run],
    project: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    recipe = smoke_runs[method].recipe
    assert isinstance(recipe, TrainRecipe)
    recipe = recipe.model_copy(update={"encoder": project.runs("t7_frozen")[1].recipe.encoder})  # type: ignore[union-attr]
    assert recipe.encoder.kind == "frozen"
    folder = tmp_path_factory.mktemp("tokens")
    tokenise(smoke.sample, folder, "packaged/minilm-l6", 32, True)
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(folder)
    group_L = torch.arange(store.labels) % 256 if recipe.auxiliary is not None else None
    network = Network(recipe, store.labels, tokens.vocabulary, tokens.pad_id, lambda: np.ones(1), group_L)
    split, (values, offsets) = store.split("train"), tokens.split("train")
    few = replace(split, documents=40, indptr=split.indptr[:41])
    trainer = Trainer(recipe, network, Batches([few], [(values, offsets[:41])], 16, seed=1), lambda _: [])
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    trainer.prepare()
    assert isinstance(network.encoder, Frozen)
    kept = network.encoder.kept
    assert kept > 0 and trainer.clocks["running"] > 0, "its time is the first epoch's"
    steps = trainer.run()
    losses = [next(steps) for _ in range(2)]
    assert losses == [1, 2] and network.encoder.kept == kept
    changed = {
        name.split(".")[0] for name, p in network.named_parameters() if not torch.equal(p, before[name])
    }
    parts = {"fixed_fan_in_set_intermediate": {"intermediate"}, "fixed_fan_in_set_aux": {"auxiliary"}}
    assert changed == {"output", *parts.get(method, set())}
    assert "encoder" not in trainer.optimizers
