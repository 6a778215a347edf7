"""A trainer of a recipe on the smoke sample, as `train_run` makes it, without files of its own."""

from pathlib import Path

from xmcbench.data.batches import Batches
from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.recipe import TrainRecipe
from xmcbench.training.loop import Trainer
from xmcbench.training.network import Network
from xmcbench.training.run import read_groups, read_order

from .conftest import SmokeData


def trainer_on(
    recipe: TrainRecipe, smoke: SmokeData, documents: int, workers: int = 0, tokens_folder: Path | None = None
) -> Trainer:
    """Return a trainer with `documents` a step; it holds no validation."""
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(tokens_folder or smoke.tokens)
    train = tokens.split("train")
    batches = Batches([store.split("train")], [train], documents, 1, recipe.data.length_bucket)
    network = Network(
        recipe,
        store.labels,
        tokens.vocabulary,
        tokens.pad_id,
        lambda: inverse_document_frequency([train], tokens.vocabulary),
        read_groups(smoke.groups, store.labels) if recipe.auxiliary else None,
        read_order(recipe, store, smoke.groups),
    )
    network.train()
    return Trainer(recipe, network, batches, lambda _: [], workers)
