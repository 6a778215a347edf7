"""Batches as a pure function of (seed, step), so that the loader's position is the step number.

Shapes: B documents of a batch, N documents, T tokens of a batch, P positive pairs.
"""

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xmcbench.data.store import Split, Tokens
from xmcbench.positives import Positives


@dataclass(frozen=True)
class Batch:
    """Tokens of B documents end to end (token_T, int64), where each begins (offset_B), and their labels."""

    token_T: Tensor
    offset_B: Tensor
    positives: Positives
    documents: int

    def parts(self, count: int) -> list["Batch"]:
        """Cut into at most `count` micro-batches of neighbouring documents, the first ones larger by one if need be."""
        count = min(count, self.documents)
        if count == 1:
            return [self]
        size, extra = divmod(self.documents, count)
        bounds = [n * size + min(n, extra) for n in range(count + 1)]
        ends = [*self.offset_B.tolist(), len(self.token_T)]
        row_P, label_P = self.positives.row_P, self.positives.label_P
        found = []
        for first, last in itertools.pairwise(bounds):
            inside = (row_P >= first) & (row_P < last)
            positives = Positives(last - first, row_P[inside] - first, label_P[inside])
            tokens = self.token_T[ends[first] : ends[last]]
            found.append(Batch(tokens, self.offset_B[first:last] - ends[first], positives, last - first))
        return found

    def to(self, device: torch.device) -> "Batch":
        """Return the same batch on another device."""
        token_T, offset_B = self.token_T.to(device), self.offset_B.to(device)
        return Batch(token_T, offset_B, self.positives.to(device), self.documents)


class Batches:
    """Shuffled batches over one or more splits; the last batch of an epoch may be short.

    length_bucket: 0 for a plain shuffle. Otherwise every pool of this many shuffled batches is sorted by token count
    and cut into batches anew, and the batches are shuffled: a batch then holds documents of like length, which an
    encoder that pads to the longest is spared from padding. The short last batch is left as the shuffle gave it, so
    that it is not always the longest documents that come last.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        tokens: Sequence[Tokens],
        batch_size: int,
        seed: int,
        length_bucket: int = 0,
    ) -> None:
        self._labels = _Lists([(s.indices, s.indptr) for s in splits])
        self.tokens, self._tokens = tokens, _Lists(tokens)
        self.documents = self._labels.rows
        assert self._tokens.rows == self.documents, "tokens and labels are of different documents"
        self.batch_size, self.seed, self.length_bucket = batch_size, seed, length_bucket
        self.steps_per_epoch = -(-self.documents // batch_size)
        # Two: workers that run ahead into the next epoch share the order with those that finish this one.
        self._orders: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def at(self, step: int) -> Batch:
        """Return the batch of a step (from 0): the same whether or not any other was asked for before."""
        return _batch(self.rows(step), self._labels, self._tokens)

    def rows(self, step: int) -> np.ndarray:
        """Return the documents of a step's batch (int64, B), counted through all splits."""
        epoch, position = divmod(step, self.steps_per_epoch)
        with self._lock:
            order_N = self._orders.get(epoch)
            if order_N is None:
                order_N = self._order(epoch)
                if len(self._orders) > 1:
                    del self._orders[min(self._orders)]
                self._orders[epoch] = order_N
        return order_N[position * self.batch_size : (position + 1) * self.batch_size]

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        order_N = rng.permutation(self.documents)
        if self.length_bucket:
            whole = self.documents // self.batch_size
            ordered = whole * self.batch_size
            pool = self.length_bucket * self.batch_size
            pooled = ordered // pool * pool
            length_N = self._tokens.lengths()
            for start, end, width in ((0, pooled, pool), (pooled, ordered, ordered - pooled)):
                if end > start:
                    pools = order_N[start:end].reshape(-1, width)
                    by_length = np.argsort(length_N[pools], axis=1, kind="stable")
                    order_N[start:end] = np.take_along_axis(pools, by_length, axis=1).ravel()
            batches = order_N[:ordered].reshape(whole, self.batch_size)
            order_N[:ordered] = batches[rng.permutation(whole)].ravel()
        return order_N


def sequential(split: Split, tokens: Tokens, batch_size: int) -> Iterator[Batch]:
    """Yield the documents of a split in stored order."""
    labels, its_tokens = _Lists([(split.indices, split.indptr)]), _Lists([tokens])
    for start in range(0, split.documents, batch_size):
        yield _batch(np.arange(start, min(start + batch_size, split.documents)), labels, its_tokens)


class _Lists:
    """Lists of numbers as (values, offsets) pairs, their rows counted through; the pairs stay the maps they are."""

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        # As plain arrays over the same memory: every slice of a memmap object costs a microsecond of Python.
        self._parts = [(np.asarray(values), np.asarray(offsets)) for values, offsets in parts]
        self._first = np.cumsum([0, *(len(offsets) - 1 for _, offsets in self._parts)])
        self.rows = int(self._first[-1])

    def lengths(self) -> np.ndarray:
        """Return how many values each row has (N); two bytes each where they do, which numpy sorts by radix."""
        length_N = np.concatenate([np.diff(offsets) for _, offsets in self._parts])
        return length_N.astype(np.uint16) if length_N.max(initial=0) < 65_536 else length_N

    def gather(self, row_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of some rows end to end (int64), and how many each has."""
        if len(self._parts) == 1:
            values, offsets = self._parts[0]
            start_B = offsets.take(row_B)
            length_B = offsets.take(row_B + 1) - start_B
            return values.take(_positions(start_B, length_B)).astype(np.int64), length_B
        part_B = np.searchsorted(self._first, row_B, side="right") - 1
        row_B = row_B - self._first[part_B]
        start_B, length_B = np.empty(len(row_B), np.int64), np.empty(len(row_B), np.int64)
        inside = [part_B == p for p in range(len(self._parts))]
        for its, (_, offsets) in zip(inside, self._parts, strict=True):
            start_B[its] = offsets.take(row_B[its])
            length_B[its] = offsets.take(row_B[its] + 1) - start_B[its]
        value_T = np.empty(int(length_B.sum()), np.int64)
        for its, (values, _) in zip(inside, self._parts, strict=True):
            value_T[np.repeat(its, length_B)] = values.take(_positions(start_B[its], length_B[its]))
        return value_T, length_B


def _positions(start_B: np.ndarray, length_B: np.ndarray) -> np.ndarray:
    """Return start … start + length − 1 of every row, end to end."""
    end_B = np.cumsum(length_B)
    position_T = np.repeat(start_B - (end_B - length_B), length_B)
    position_T += np.arange(len(position_T))
    return position_T


def _batch(row_B: np.ndarray, labels: _Lists, tokens: _Lists) -> Batch:
    token_T, length_B = tokens.gather(row_B)
    label_P, labels_B = labels.gather(row_B)
    row_P = np.repeat(np.arange(len(row_B)), labels_B)
    positives = Positives(len(row_B), torch.from_numpy(row_P), torch.from_numpy(label_P))
    offset_B = torch.from_numpy(np.cumsum(length_B) - length_B)
    return Batch(torch.from_numpy(token_T), offset_B, positives, len(row_B))
