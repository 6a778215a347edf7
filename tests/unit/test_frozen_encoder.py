"""A frozen encoder: features computed once, nothing of it trained or saved."""

import numpy as np
import pytest
import torch

from xmcbench.data.batches import Batches
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore, tokenise
from xmcbench.encoder import build
from xmcbench.encoder.frozen import Frozen
from xmcbench.plan import Project, Run
from xmcbench.recipe import Encoder, TrainRecipe
from xmcbench.training.loop import Trainer
from xmcbench.training.network import Network

from ..conftest import SmokeData

TOKENS = torch.tensor([101, 2000, 102, 101, 3000, 4000, 102, 101, 2000, 102])
OFFSETS = torch.tensor([0, 3, 7])


def frozen() -> Frozen:
    encoder = build(Encoder(kind="frozen"), 30522, 0, lambda: np.ones(30522))
    assert isinstance(encoder, Frozen)
    return encoder


def test_features_are_the_transformers_and_computed_once_a_document() -> None:
    encoder = frozen()
    x_BD = encoder(TOKENS, OFFSETS)
    assert encoder.kept == 2, "the first and the last document are equal"
    transformer = build(Encoder(kind="transformer"), 30522, 0, lambda: np.ones(30522)).eval()
    with torch.no_grad():
        torch.testing.assert_close(x_BD, transformer(TOKENS, OFFSETS), atol=1e-5, rtol=1e-4)
    # Whatever the batch, the same bits: a resumed run sees its documents in other company.
    alone = frozen()(TOKENS[3:7], OFFSETS[:1])
    assert torch.equal(alone[0], x_BD[1])
    assert torch.equal(encoder.train()(TOKENS, OFFSETS), x_BD) and encoder.kept == 2


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
    trainer = Trainer(
        recipe, network, Batches([store.split("train")], [tokens.split("train")], 16, seed=1), lambda _: []
    )
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    steps = trainer.run()
    losses = [next(steps) for _ in range(2)]
    assert losses == [1, 2]
    changed = {
        name.split(".")[0] for name, p in network.named_parameters() if not torch.equal(p, before[name])
    }
    parts = {"fixed_fan_in_set_intermediate": {"intermediate"}, "fixed_fan_in_set_aux": {"auxiliary"}}
    assert changed == {"output", *parts.get(method, set())}
    assert "encoder" not in trainer.optimizers
