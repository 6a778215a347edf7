"""Streaming prediction: the k best labels of every document of a split.

Shapes: N documents, k predictions a document.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from xmcbench.atomic import replacing
from xmcbench.data.batches import sequential
from xmcbench.data.store import Split, Tokens
from xmcbench.training.network import Network


@dataclass(frozen=True)
class Predictions:
    """label_Nk (int32, −1 where there is none), score_Nk (fp32), and the seconds that encoding and ranking took."""

    label_Nk: np.ndarray
    score_Nk: np.ndarray
    seconds: float


@torch.no_grad()
def predict(
    network: Network,
    split: Split,
    tokens: Tokens,
    k: int,
    batch_size: int,
    alive: Callable[[], None] | None = None,
) -> Predictions:
    """Rank labels for all documents of a split in stored order. alive: called after every batch (may raise)."""
    network.eval()
    device = next(network.parameters()).device
    label_Nk = np.full((split.documents, k), -1, dtype=np.int32)
    score_Nk = np.full((split.documents, k), -np.inf, dtype=np.float32)
    began = time.perf_counter()
    network.encoder.prepare([tokens], device, alive)
    row = 0
    for batch in sequential(split, tokens, batch_size):
        batch = batch.to(device)
        x_BD = network.features(batch.token_T, batch.offset_B)
        score_Bk, label_Bk = network.output.top_k(x_BD, k)
        rows = slice(row, row + batch.documents)
        label_Nk[rows], score_Nk[rows] = label_Bk.cpu().numpy(), score_Bk.cpu().numpy()
        row += batch.documents
        if alive is not None:
            alive()
    return Predictions(label_Nk, score_Nk, time.perf_counter() - began)


def write_topk(path: Path, label_Nk: np.ndarray, score_Nk: np.ndarray) -> None:
    """Write topk.npz; its bytes depend on nothing but the arrays (numpy dates every member 1980)."""
    with replacing(path) as tmp:
        np.savez(tmp, label=label_Nk.astype(np.int32), score=score_Nk.astype(np.float32))
