"""Any Hugging Face encoder, from the packaged MiniLM (no network), a local folder, or a hub id.

Shapes: B documents, T tokens of the batch, S longest document, D features.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from xmcbench.encoder.encoder import Encoder
from xmcbench.errors import ConfigError, DataError
from xmcbench.packaged_minilm import folder as packaged_folder
from xmcbench.recipe import Encoder as Recipe

#: Keys of the recipe's encoder section that this kind reads, beside those of every kind.
READS = frozenset({"pooling", "activation_checkpointing", "velora"})


class Transformer(Encoder):
    """Pads the batch to its longest document and pools the last layer: masked mean, or the first token."""

    special_tokens = True

    def __init__(self, model: torch.nn.Module, pooling: str, pad_id: int) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.pad_id = pad_id

    def forward(self, token_T: Tensor, offset_B: Tensor) -> Tensor:
        token_BS, mask_BS = padded(token_T, offset_B, self.pad_id)
        last_BSD = self.model(input_ids=token_BS, attention_mask=mask_BS.long()).last_hidden_state
        if self.pooling == "cls":
            first_BD: Tensor = last_BSD[:, 0]
            return first_BD
        weight_BS1 = mask_BS[:, :, None].to(last_BSD.dtype)
        mean_BD: Tensor = (last_BSD * weight_BS1).sum(dim=1) / weight_BS1.sum(dim=1).clamp(min=1)
        return mean_BD


def padded(token_T: Tensor, offset_B: Tensor, pad_id: int) -> tuple[Tensor, Tensor]:
    """Return token_BS (int64), padded to the longest document (S ≥ 1), and mask_BS, true where a token is."""
    length_B = torch.diff(offset_B, append=offset_B.new_tensor([token_T.numel()]))
    position_S = torch.arange(max(1, int(length_B.max())), device=token_T.device)
    mask_BS = position_S[None, :] < length_B[:, None]
    token_BS = torch.full(mask_BS.shape, pad_id, dtype=torch.int64, device=token_T.device)
    # Row-major order of the mask is the order of the flat tokens.
    token_BS[mask_BS] = token_T
    return token_BS, mask_BS


def build(
    recipe: Recipe, vocabulary: int, pad_id: int, inverse_frequency: Callable[[], np.ndarray]
) -> Transformer:
    """Load the pretrained encoder without its pooler; raises ConfigError or DataError in one line."""
    from transformers import AutoConfig, AutoModel

    source = str(packaged_folder()) if recipe.pretrained == "packaged/minilm-l6" else recipe.pretrained
    try:
        config = AutoConfig.from_pretrained(source)
        extra = {"add_pooling_layer": False} if config.model_type in {"bert", "roberta", "mpnet"} else {}
        model = AutoModel.from_pretrained(source, dtype=torch.float32, **extra)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"encoder.pretrained: cannot load {recipe.pretrained!r}: {reason}") from error
    if config.hidden_size != recipe.features:
        raise ConfigError(
            f"encoder.features: {recipe.pretrained} has {config.hidden_size} features, not {recipe.features}; "
            f"allowed: {config.hidden_size}"
        )
    if config.vocab_size < vocabulary:
        raise DataError(
            f"encoder.pretrained: {recipe.pretrained} knows {config.vocab_size} tokens, not {vocabulary}"
        )
    if recipe.activation_checkpointing:
        model.gradient_checkpointing_enable()
    return Transformer(model, recipe.pooling, pad_id)
