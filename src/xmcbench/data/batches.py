"""Batches as a pure function of (seed, step), so that the loader's position is the step number.

Shapes: B documents of a batch, N documents, T tokens of a batch, P positive pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xmcbench.data.store import Split
from xmcbench.positives import Positives

Tokens = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Tokens of B documents end to end (token_T, int64), where each begins (offset_B), and their labels."""

    token_T: Tensor
    offset_B: Tensor
    positives: Positives
    documents: int


class Batches:
    """Shuffled batches over one or more splits; the last batch of an epoch may be short."""

    def __init__(self, splits: Sequence[Split], tokens: Sequence[Tokens], batch_size: int, seed: int) -> None:
        self._label_indptr, self._label_indices = _joined([(s.indices, s.indptr) for s in splits])
        self._token_offsets, self._token_flat = _joined(list(tokens))
        self.documents = len(self._label_indptr) - 1
        assert len(self._token_offsets) - 1 == self.documents, "tokens and labels are of different documents"
        self.batch_size, self.seed = batch_size, seed
        self.steps_per_epoch = -(-self.documents // batch_size)
        self._epoch, self._order_N = -1, np.zeros(0, np.int64)

    def at(self, step: int) -> Batch:
        """Return the batch of a step (from 0): the same whether or not any other was asked for before."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order_N = np.random.default_rng([self.seed, epoch]).permutation(self.documents)
            self._epoch = epoch
        rows = self._order_N[position * self.batch_size : (position + 1) * self.batch_size]
        return _batch(rows, self._label_indptr, self._label_indices, self._token_offsets, self._token_flat)


def sequential(split: Split, tokens: Tokens, batch_size: int) -> Iterator[Batch]:
    """Yield the documents of a split in stored order."""
    flat, offsets = tokens
    for start in range(0, split.documents, batch_size):
        rows = np.arange(start, min(start + batch_size, split.documents))
        yield _batch(rows, split.indptr, split.indices, offsets, flat)


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join (values, offsets) pairs end to end; returns offsets first. One part stays the memory map it is."""
    if len(parts) == 1:
        return parts[0][1], parts[0][0]
    offsets, base = [np.zeros(1, np.int64)], 0
    for values, its_offsets in parts:
        offsets.append(np.asarray(its_offsets[1:]) + base)
        base += len(values)
    return np.concatenate(offsets), np.concatenate([values for values, _ in parts])


def _gather(rows: np.ndarray, offsets: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of some rows end to end, and how many each has."""
    start, length = offsets[rows], offsets[rows + 1] - offsets[rows]
    first = np.cumsum(length) - length
    position = np.arange(int(length.sum())) + np.repeat(start - first, length)
    return flat[position].astype(np.int64), length


def _batch(
    rows: np.ndarray,
    label_indptr: np.ndarray,
    label_indices: np.ndarray,
    token_offsets: np.ndarray,
    token_flat: np.ndarray,
) -> Batch:
    token_T, length_B = _gather(rows, token_offsets, token_flat)
    label_P, labels_B = _gather(rows, label_indptr, label_indices)
    row_P = np.repeat(np.arange(len(rows)), labels_B)
    positives = Positives(len(rows), torch.from_numpy(row_P), torch.from_numpy(label_P))
    offset_B = torch.from_numpy(np.cumsum(length_B) - length_B)
    return Batch(torch.from_numpy(token_T), offset_B, positives, len(rows))
