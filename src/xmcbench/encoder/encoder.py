"""What an encoder is to the training loop.

Shapes: B documents, T tokens of the whole batch laid end to end, V vocabulary, D features.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from xmcbench.encoder.velora import compress
from xmcbench.errors import ConfigError, allowed
from xmcbench.recipe import Encoder as Recipe
from xmcbench.recipe_sections import encoder_kinds
from xmcbench.unread_keys import require_read

#: Keys of the encoder section that every kind reads, or the engine for it. A frozen encoder's optimiser has nothing to do, but a
#: method that freezes another's encoder has the section from there.
SHARED = frozenset({"kind", "pretrained", "features", "autocast", "dropout", "optimizer"})

#: Documents of one or more splits: their tokens end to end, and where each begins (and the last one ends).
TokenLists = Sequence[tuple[np.ndarray, np.ndarray]]


class Encoder(nn.Module):
    """Maps flat tokens and document starts to features x_BD; trained by autograd from grad_x_BD."""

    #: Whether the tokens must carry the tokenizer's special tokens.
    special_tokens: bool = False

    def forward(self, token_T: Tensor, offset_B: Tensor) -> Tensor:
        """Return x_BD. token_T: int64, all documents end to end. offset_B: where each begins."""
        raise TypeError(f"{type(self).__name__} does not state its forward pass")

    def prepare(
        self, splits: TokenLists, device: torch.device, alive: Callable[[], None] | None = None
    ) -> None:
        """Compute ahead what the documents of whole splits need, if there is such a thing; most encoders have none.

        alive: called now and then (may raise).
        """

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Return the parameters whose gradients touch only the rows a batch used."""
        return []

    def dense_parameters(self) -> list[nn.Parameter]:
        """Return all other parameters."""
        sparse = {id(p) for p in self.sparse_parameters()}
        return [p for p in self.parameters() if id(p) not in sparse]


def require_encoder_keys(recipe: Recipe) -> None:
    """Raise ConfigError if a key is set that this kind of encoder does not read: its module's `READS`, if any, beside the shared ones."""
    reads: frozenset[str] = getattr(_module(recipe.kind), "READS", frozenset())
    require_read(recipe, "encoder", SHARED | reads, f"encoder.kind {recipe.kind}")


def build(
    recipe: Recipe, vocabulary: int, pad_id: int, inverse_frequency: Callable[[], np.ndarray]
) -> Encoder:
    """Build the encoder named by `recipe.kind`; the module's `build` function makes it.

    inverse_frequency: computes the IDF weight of every token (V); only encoders that need it call it.
    """
    module = _module(recipe.kind)
    require_encoder_keys(recipe)
    encoder = module.build(recipe, vocabulary, pad_id, inverse_frequency)
    assert isinstance(encoder, Encoder)
    if recipe.velora is not None:
        compress(encoder, recipe.velora)
    return encoder


def _module(kind: str) -> ModuleType:
    if kind not in encoder_kinds():
        raise ConfigError(f"encoder.kind: unknown value {kind!r}; {allowed(encoder_kinds())}")
    return import_module(f"xmcbench.encoder.{kind}")
