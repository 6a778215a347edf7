"""A pretrained transformer that is not trained: features of a document are computed once and kept (paper §3.9, Table 7).

Shapes: B documents, T tokens of the batch, D features, N distinct documents seen so far.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from xmcbench.encoder.encoder import Encoder, TokenLists
from xmcbench.encoder.transformer import Transformer
from xmcbench.encoder.transformer import build as build_transformer
from xmcbench.recipe import Encoder as Recipe

#: Keys of the recipe's encoder section that this kind reads, beside those of every kind.
READS = frozenset({"pooling"})

#: Documents, and their tokens, that `prepare` hands to the transformer at a time. One document alone waits for the weights to be
#: read: MiniLM takes 8.1 ms for one of 12 tokens on two cores, 2.0 ms for one of 32, 1.9 of 64, 1.8 of 256.
DOCUMENTS, TOKENS = 64, 4096


class Frozen(Encoder):
    """Looks features up by the document's tokens; has no parameters, and its weights are no part of the run's files.

    Features must not depend on the order of batches, or a resumed run would compute other bits. So `prepare` computes them for
    whole splits, equally long documents together, in an order that is theirs; a document that it was not given passes the
    transformer alone. The kept features take 4·N·D bytes.
    """

    special_tokens = True

    def __init__(self, model: Transformer, features: int) -> None:
        super().__init__()
        # In a tuple, so that neither optimisers nor checkpoints see it.
        self._model = (model.eval().requires_grad_(False),)
        self._row_of: dict[bytes, int] = {}
        self._feature_ND = torch.empty(0, features)

    def forward(self, token_T: Tensor, offset_B: Tensor) -> Tensor:
        token_T = token_T.cpu()
        end_B = torch.cat([offset_B[1:], offset_B.new_tensor([token_T.numel()])])
        documents = [token_T[a:b] for a, b in zip(offset_B.tolist(), end_B.tolist(), strict=True)]
        row_B = [self._row(document.numpy(), offset_B.device) for document in documents]
        return self._feature_ND[torch.tensor(row_B)].to(offset_B.device)

    def prepare(
        self, splits: TokenLists, device: torch.device, alive: Callable[[], None] | None = None
    ) -> None:
        new: dict[bytes, np.ndarray] = {}
        for document in _documents(splits):
            key = _key(document)
            if key not in self._row_of:
                new[key] = document
        self._reserve(len(new))
        calls = _calls(sorted(new, key=lambda key: (len(new[key]), key)), new)
        # A bar for who waits; small corpora are done before it shows.
        for keys in tqdm(list(calls), desc="frozen features", unit="call", mininterval=1.0, delay=5.0):
            self._compute(keys, np.stack([new[key] for key in keys]), device)
            if alive is not None:
                alive()

    @property
    def kept(self) -> int:
        """How many distinct documents' features are kept."""
        return len(self._row_of)

    def _row(self, document: np.ndarray, device: torch.device) -> int:
        key = _key(document)
        if key not in self._row_of:
            self._reserve(1)
            self._compute([key], document[None], device)
        return self._row_of[key]

    def _reserve(self, more: int) -> None:
        """Make room; what grows one by one grows by doubling."""
        wanted, room = self.kept + more, len(self._feature_ND)
        if wanted > room:
            size = wanted if more > 1 else max(1024, 2 * room)
            grown_ND = torch.empty(size, self._feature_ND.shape[1])
            grown_ND[:room] = self._feature_ND
            self._feature_ND = grown_ND

    @torch.no_grad()
    def _compute(self, keys: Sequence[bytes], token_BS: np.ndarray, device: torch.device) -> None:
        """Keep the features of equally long documents."""
        model = self._model[0].to(device)
        token_T = torch.from_numpy(token_BS.astype(np.int64).ravel()).to(device)
        offset_B = torch.arange(len(keys), device=device) * token_BS.shape[1]
        first = self.kept
        self._feature_ND[first : first + len(keys)] = model(token_T, offset_B).cpu()
        self._row_of.update(zip(keys, range(first, first + len(keys)), strict=True))


def _key(document: np.ndarray) -> bytes:
    """Name a document by its tokens: 16 bytes, whatever its length."""
    return hashlib.blake2b(document.astype(np.int64).tobytes(), digest_size=16).digest()


def _documents(splits: TokenLists) -> Iterator[np.ndarray]:
    for values, offsets in splits:
        # Plain arrays over the same memory: slices of a map cost more.
        values, bounds = np.asarray(values), np.asarray(offsets).tolist()
        yield from (values[a:b] for a, b in itertools.pairwise(bounds))


def _calls(keys: Sequence[bytes], documents: dict[bytes, np.ndarray]) -> Iterator[list[bytes]]:
    """Cut documents, sorted by length, into calls of equally long ones."""
    for length, its in itertools.groupby(keys, key=lambda key: len(documents[key])):
        alike = list(its)
        size = max(1, min(DOCUMENTS, TOKENS // max(1, length)))
        yield from (alike[first : first + size] for first in range(0, len(alike), size))


def build(
    recipe: Recipe, vocabulary: int, pad_id: int, inverse_frequency: Callable[[], np.ndarray]
) -> Frozen:
    """Build the frozen encoder; raises what the transformer's `build` raises."""
    return Frozen(build_transformer(recipe, vocabulary, pad_id, inverse_frequency), recipe.features)
