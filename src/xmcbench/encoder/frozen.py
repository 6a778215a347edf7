"""A pretrained transformer that is not trained: features of a document are computed once and kept (paper §3.9, Table 7).

Shapes: B documents, T tokens of the batch, D features, N distinct documents seen so far.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from xmcbench.encoder.encoder import Encoder
from xmcbench.encoder.transformer import Transformer
from xmcbench.encoder.transformer import build as build_transformer
from xmcbench.recipe import Encoder as Recipe


class Frozen(Encoder):
    """Looks features up by the document's tokens; has no parameters, and its weights are no part of the run's files.

    Documents pass the transformer one at a time: then their features do not depend on their batch, and a resumed run
    computes the same bits. The kept features take 4·N·D bytes.
    """

    special_tokens = True

    def __init__(self, model: Transformer, features: int) -> None:
        super().__init__()
        # In a tuple, so that neither optimisers nor checkpoints see it.
        self._model = (model.eval().requires_grad_(False),)
        self._row_of: dict[bytes, int] = {}
        self._feature_ND = torch.empty(0, features)

    def forward(self, token_T: Tensor, offset_B: Tensor) -> Tensor:
        end_B = torch.cat([offset_B[1:], offset_B.new_tensor([token_T.numel()])])
        documents = [token_T[a:b] for a, b in zip(offset_B.tolist(), end_B.tolist(), strict=True)]
        row_B = [self._row(token) for token in documents]
        return self._feature_ND[torch.tensor(row_B)].to(token_T.device)

    @property
    def kept(self) -> int:
        """How many distinct documents' features are kept."""
        return len(self._row_of)

    def _row(self, token: Tensor) -> int:
        key = token.cpu().numpy().tobytes()
        row = self._row_of.get(key)
        if row is None:
            row = self._row_of[key] = len(self._row_of)
            if row == len(self._feature_ND):
                grown_ND = torch.empty(max(1024, 2 * row), self._feature_ND.shape[1])
                grown_ND[:row] = self._feature_ND
                self._feature_ND = grown_ND
            with torch.no_grad():
                model = self._model[0].to(token.device)
                self._feature_ND[row] = model(token, token.new_tensor([0]))[0].cpu()
        return row


def build(
    recipe: Recipe, vocabulary: int, pad_id: int, inverse_frequency: Callable[[], np.ndarray]
) -> Frozen:
    """Build the frozen encoder; raises what the transformer's `build` raises."""
    return Frozen(build_transformer(recipe, vocabulary, pad_id, inverse_frequency), recipe.features)
