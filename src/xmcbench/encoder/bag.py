"""The cheap encoder: an IDF-weighted bag of trainable token embeddings, a residual layer, layer norm.

Shapes: B documents, T tokens of the batch, V vocabulary, D features, H hidden.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xmcbench.encoder.encoder import Encoder
from xmcbench.errors import ConfigError, DataError
from xmcbench.packaged_minilm import folder as packaged_folder
from xmcbench.recipe import Encoder as Recipe

#: Keys of the recipe's encoder section that this kind reads, beside those of every kind.
READS = frozenset({"hidden", "embedding_scale", "token_dropout", "activation_checkpointing", "velora"})

WORD_EMBEDDINGS = ("embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight")


class Bag(Encoder):
    """x = LayerNorm(e + W₂ relu(W₁ e)), e = Σ_t idf_t·E_t / Σ_t idf_t over a document's tokens.

    An empty document has e = 0, and so the features of the biases alone; so has one whose tokens are all dropped.
    """

    def __init__(
        self,
        embedding_VD: Tensor,
        idf_V: Tensor,
        hidden: int,
        checkpointing: bool = False,
        token_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        vocabulary, features = embedding_VD.shape
        self.embedding = nn.EmbeddingBag(vocabulary, features, mode="sum", sparse=True)
        with torch.no_grad():
            self.embedding.weight.copy_(embedding_VD)
        self.idf_V: Tensor
        self.register_buffer("idf_V", idf_V)
        self.hidden = nn.Linear(features, hidden)
        self.residual = nn.Linear(hidden, features)
        self.norm = nn.LayerNorm(features)
        self.checkpointing, self.token_dropout = checkpointing, token_dropout

    def forward(self, token_T: Tensor, offset_B: Tensor) -> Tensor:
        weight_T = self.idf_V[token_T]
        if self.training and self.token_dropout:
            weight_T = weight_T * (torch.rand(weight_T.shape, device=weight_T.device) >= self.token_dropout)
        length_B = torch.diff(offset_B, append=offset_B.new_tensor([token_T.numel()]))
        document_T = torch.repeat_interleave(torch.arange(offset_B.numel(), device=offset_B.device), length_B)
        total_B = torch.zeros(offset_B.numel(), device=weight_T.device).index_add_(0, document_T, weight_T)
        bag_BD = self.embedding(
            token_T, offset_B, per_sample_weights=weight_T / total_B.clamp(min=1e-12)[document_T]
        )
        if self.checkpointing and self.training:
            again_BD: Tensor = checkpoint(self._mixed, bag_BD, use_reentrant=False)
            return again_BD
        return self._mixed(bag_BD)

    def _mixed(self, bag_BD: Tensor) -> Tensor:
        x_BD: Tensor = self.norm(bag_BD + self.residual(torch.relu(self.hidden(bag_BD))))
        return x_BD

    def sparse_parameters(self) -> list[nn.Parameter]:
        weight = self.embedding.weight
        assert isinstance(weight, nn.Parameter)
        return [weight]


def build(recipe: Recipe, vocabulary: int, pad_id: int, inverse_frequency: Callable[[], np.ndarray]) -> Bag:
    """Build the bag from the pretrained model's word embeddings; raises ConfigError if the widths differ."""
    folder = packaged_folder() if recipe.pretrained == "packaged/minilm-l6" else Path(recipe.pretrained)
    embedding_VD = word_embeddings(folder / "model.safetensors")
    if tuple(embedding_VD.shape) != (vocabulary, recipe.features):
        raise ConfigError(
            f"encoder.features: {recipe.features} features and {vocabulary} tokens do not fit the word embeddings "
            f"of {recipe.pretrained}; allowed: {embedding_VD.shape[1]} features, {embedding_VD.shape[0]} tokens"
        )
    idf_V = torch.from_numpy(inverse_frequency().astype(np.float32))
    return Bag(
        embedding_VD * recipe.embedding_scale,
        idf_V,
        recipe.hidden,
        recipe.activation_checkpointing,
        recipe.token_dropout,
    )


def word_embeddings(file: Path) -> Tensor:
    """Read the word embedding matrix (V×D, fp32) of a BERT-like checkpoint, and nothing else of it."""
    if not file.is_file():
        raise DataError(f"{file}: missing; the bag encoder takes its word embeddings from there")
    with safe_open(str(file), framework="pt") as tensors:
        for name in WORD_EMBEDDINGS:
            if name in tensors.keys():  # noqa: SIM118 (not a dict)
                embedding: Tensor = tensors.get_tensor(name)
                return embedding.float()
    raise DataError(f"{file}: holds none of {', '.join(WORD_EMBEDDINGS)}")
