"""Which labels a synthetic document has: topics are planted, every label's count is met exactly, any document at once.

Shapes: N documents, L labels, B documents asked for, T topics, K layers.

Each label has as many slots as documents. A topic owns some hundred labels, end to end, and as many documents as its
slots call for, those with most labels first. Layer k of a topic are its documents that have more than k labels; the slots are
dealt to the layers, one document after the other, so that a label's run of slots meets distinct documents, and
neighbouring labels meet the same ones. Labels too frequent for a topic are dealt to all documents alike. A
document's number is turned into its place by an affine permutation; its labels follow by a few look-ups.
"""

import math
from dataclasses import dataclass

import numpy as np

LABELS_A_TOPIC = 512
#: A label on more than this share of a topic's documents is no topic's.
FREQUENT = 0.25


@dataclass(frozen=True)
class Topics:
    """Labels by topic: `label_S` end to end, topic t from bound_T[t]; frequent labels aside; topic of each label (T: none)."""

    label_S: np.ndarray
    bound_T: np.ndarray
    frequent: np.ndarray
    topic_L: np.ndarray

    @property
    def topics(self) -> int:
        """Count the topics."""
        return len(self.bound_T) - 1


def plant_topics(counts_L: np.ndarray, documents: int, seed: int) -> Topics:
    """Draw the topic of every label."""
    labels, rng = len(counts_L), np.random.default_rng(seed)
    topics = max(1, round(labels / LABELS_A_TOPIC))
    is_frequent = counts_L > max(1.0, FREQUENT * documents / topics)
    apart = int(counts_L[is_frequent].sum())
    if max(apart, int(counts_L.sum()) - apart) < documents:
        # Neither kind gives every document a label: one topic of all labels does.
        topics, is_frequent = 1, np.zeros(labels, dtype=bool)
    frequent, label_S = (
        rng.permutation(np.flatnonzero(is_frequent)),
        rng.permutation(np.flatnonzero(~is_frequent)),
    )
    bound_T = len(label_S) * np.arange(topics + 1) // topics
    topic_S = np.repeat(np.arange(topics), np.diff(bound_T))
    # Long runs come first, where layers are widest; the others stay in random order.
    long_S = np.where(counts_L[label_S] > 0.05 * documents / topics, counts_L[label_S], 0)
    label_S = label_S[np.lexsort((-long_S, topic_S))]
    topic_L = np.full(labels, topics, dtype=np.int64)
    topic_L[label_S] = topic_S
    return Topics(label_S, bound_T, frequent, topic_L)


class Planting:
    """The labels of one split's documents."""

    def __init__(self, topics: Topics, counts_L: np.ndarray, documents: int, seed: int) -> None:
        """counts_L: documents of each label in this split."""
        self.topics, self.documents = topics, documents
        self._end_S = np.cumsum(counts_L[topics.label_S])
        self._frequent_end = np.cumsum(counts_L[topics.frequent])
        self._step, self._shift = _affine(documents, seed)
        self._frequent_step, self._frequent_shift = _affine(documents, seed + 1)
        slot_T = np.concatenate([[0], self._end_S])[topics.bound_T]
        slots = int(slot_T[-1])
        self._slot_T = slot_T
        # Documents in proportion to slots, along the running sum, so that all documents are somebody's.
        self._first_T = slot_T * documents // slots if slots else np.array([0, *[documents] * topics.topics])
        its = np.diff(self._first_T)
        share_K = _layers(slots / max(1, documents), len(topics.label_S))
        size_TK = np.floor(its[:, None] * share_K + 0.5).astype(np.int64)
        left = np.clip(np.diff(slot_T) - size_TK.sum(axis=1), 0, its)
        self._size_TK = np.hstack([size_TK, left[:, None]])
        self._start_TK = slot_T[:-1, None] + np.cumsum(self._size_TK, axis=1) - self._size_TK

    def labels_of(self, number_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (indptr (B+1), labels (int64), rising for each document) of documents by their numbers."""
        place = (self._step * number_B.astype(np.int64) + self._shift) % max(1, self.documents)
        topic = self._topic(place)
        local = (place - self._first_T[topic])[:, None]
        slot_BK = self._start_TK[topic] + local
        row, layer = np.nonzero((local < self._size_TK[topic]) & (slot_BK < self._slot_T[topic + 1][:, None]))
        rows = [row]
        labels = [self.topics.label_S[np.searchsorted(self._end_S, slot_BK[row, layer], side="right")]]
        apart = int(self._frequent_end[-1]) if len(self._frequent_end) else 0
        turn = (self._frequent_step * place + self._frequent_shift) % max(1, self.documents)
        for first in range(0, apart, max(1, self.documents)):
            its = np.flatnonzero(turn + first < apart)
            found = np.searchsorted(self._frequent_end, turn[its] + first, side="right")
            rows.append(its)
            labels.append(self.topics.frequent[found])
        width = len(self.topics.topic_L)
        # A run that goes round a thin layer meets a document twice: it has the label once.
        key = np.unique(np.concatenate(rows) * width + np.concatenate(labels))
        counts = np.bincount(key // width, minlength=len(number_B))
        return np.concatenate([[0], np.cumsum(counts)]), key % width

    def topic_of(self, number_B: np.ndarray) -> np.ndarray:
        """Return the topic of documents by their numbers."""
        return self._topic((self._step * number_B.astype(np.int64) + self._shift) % max(1, self.documents))

    def _topic(self, place: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._first_T, place, side="right") - 1


def _affine(documents: int, seed: int) -> tuple[int, int]:
    """Return (a, b) of the permutation i → (a·i + b) mod N: a near N divided by the golden ratio scatters best."""
    step = max(1, round(documents * 0.6180339887498949))
    while math.gcd(step, documents) != 1:
        step += 1
    return step, int(np.random.default_rng(seed).integers(max(1, documents)))


def _layers(mean: float, most: int) -> np.ndarray:
    """Return the share of documents with more than k labels, k = 0, 1, …: falling by a factor, adding up to the mean."""
    if mean <= 1:
        return np.array([mean])
    layers = max(math.ceil(mean), min(math.ceil(2.5 * mean), most))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float((middle ** np.arange(layers)).sum()) < mean else (low, middle)
    share: np.ndarray = high ** np.arange(layers)
    return share
