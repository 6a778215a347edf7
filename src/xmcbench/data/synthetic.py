"""A synthetic data set of any size: planted topics, Zipf labels, texts that tell the labels.

Shapes: N documents, L labels, B documents of a block, W words of a block.

Document i of a split is a function of (settings, split, i). Beside tables of a few bytes a label and a topic nothing
is kept, so memory does not grow with N.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, overload

import numpy as np
from pydantic import BaseModel, Field, model_validator

from xmcbench.data.corpus import Document
from xmcbench.data.counter_random import below, counter_bits, unit
from xmcbench.data.label_frequency import label_counts, proportional_counts, usual_tail_share
from xmcbench.data.planted_topics import Planting, plant_topics
from xmcbench.data.published_shapes import SHAPES
from xmcbench.data.vocabulary import COMMON, vocabulary
from xmcbench.errors import DataError
from xmcbench.seeds import derive
from xmcbench.yaml_config import STRICT

BLOCK = 8192
#: Words that tell a label; the first TOPIC_PART of them are its topic's, the others its own.
LABEL_WORDS, TOPIC_PART, TOPIC_WORDS = 6, 2, 32
#: Of 256 words of a document, so many tell its labels, and so many its topic; the rest is background.
OF_LABELS, OF_TOPIC = 140, 52

PositiveInt = Annotated[int, Field(gt=0)]


class SyntheticSource(BaseModel):
    """Settings of a synthetic data set; `like` names a data set whose published numbers fill what is not given."""

    model_config = STRICT

    format: Literal["synthetic"] = "synthetic"
    like: str | None = None
    documents_train: PositiveInt
    documents_test: Annotated[int, Field(ge=0)]
    labels: PositiveInt
    #: Mean over documents; every document has at least one.
    labels_per_document: Annotated[float, Field(ge=1)]
    #: Mean; documents have from half to one and a half times as many.
    words_per_document: PositiveInt
    #: Share of labels that at most five training documents have; if not given, `usual_tail_share`.
    tail_share: Annotated[float, Field(ge=0, le=1)]
    seed: int = 1

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = {"words_per_document": 64, **values}
        if (like := values.get("like")) is not None:
            if like not in SHAPES:
                raise ValueError(f"source.like: unknown value {like!r}; allowed: {', '.join(SHAPES)}")
            shape = SHAPES[like]
            numbers = {
                "documents_train": shape.documents_train,
                "documents_test": shape.documents_test,
                "labels": shape.labels,
                "labels_per_document": shape.labels_per_document,
                "words_per_document": shape.words,
            }
            filled = {**numbers, **values}
        sizes: list[Any] = [filled.get(k) for k in ("documents_train", "labels_per_document", "labels")]
        # Other types are refused below, each by its own key.
        if "tail_share" not in filled and all(type(s) in (int, float) and s > 0 for s in sizes):
            documents, mean, labels = sizes
            filled["tail_share"] = usual_tail_share(documents, round(documents * mean), labels)
        return filled

    @model_validator(mode="after")
    def _possible(self) -> "SyntheticSource":
        if self.labels_per_document > self.labels:
            raise ValueError(
                f"source.labels_per_document: {self.labels_per_document} of {self.labels} labels; "
                f"allowed: 1 … {self.labels}"
            )
        return self

    def pairs(self, documents: int) -> int:
        """Return the number of positive pairs of so many documents."""
        return round(documents * self.labels_per_document)


class SyntheticCorpus:
    """A `Corpus` that is computed, not read.

    Raises ConfigError if no label frequencies have the declared tail. If there are fewer pairs than labels, some
    labels have no training document; else every label has one.
    """

    splits: tuple[str, ...] = ("train", "test")

    def __init__(self, settings: SyntheticSource) -> None:
        self.settings = settings
        self._sizes = {"train": settings.documents_train, "test": settings.documents_test}
        documents, labels = settings.documents_train, settings.labels
        pairs = settings.pairs(documents)
        rng = np.random.default_rng(self._seed("frequency"))
        counts_L = np.empty(labels, dtype=np.int64)
        counts_L[rng.permutation(labels)] = label_counts(documents, pairs, labels, settings.tail_share)
        topics = plant_topics(counts_L, documents, self._seed("topics"))
        # Test counts are proportional along the topics' order, so that no topic gains by rounding.
        order = np.concatenate([topics.frequent, topics.label_S])
        test_L = np.empty_like(counts_L)
        test_L[order] = proportional_counts(counts_L[order], settings.pairs(settings.documents_test))
        self._topic_L = topics.topic_L
        self._planting = {
            "train": Planting(topics, counts_L, documents, self._seed("train")),
            "test": Planting(topics, test_L, settings.documents_test, self._seed("test")),
        }
        self._words = np.array(vocabulary().words, dtype=object)

    def label_ids(self) -> Sequence[str]:
        """Return `l0 … `: numbers of equal width, so that sorted ids are in index order; made when asked for."""
        return _Numbered("l", self.settings.labels)

    def label_texts(self) -> Iterator[str]:
        """Yield three of the words that tell each label: two of its own, one of its topic."""
        for first in range(0, self.settings.labels, BLOCK):
            label = np.arange(first, min(first + BLOCK, self.settings.labels))
            word = np.stack([self._label_word(label, np.full_like(label, k)) for k in (2, 3, 0)], axis=1)
            yield from (" ".join(its) for its in self._words[word].tolist())

    def documents(self, split: str) -> Iterator[Document]:
        """Yield the documents of a split in the order of their numbers."""
        size = self._size(split)
        for first in range(0, size, BLOCK):
            yield from self.documents_at(split, np.arange(first, min(first + BLOCK, size)))

    def documents_at(self, split: str, number_B: np.ndarray) -> Iterator[Document]:
        """Yield the documents of these numbers, which need not be in order."""
        width = len(str(max(0, self._size(split) - 1)))
        indptr, label = self.labels_of(split, number_B)
        bounds, word = self._text(split, number_B, indptr, label)
        labels, words = label.tolist(), self._words[word].tolist()
        starts, ends = indptr.tolist(), bounds.tolist()
        for row, number in enumerate(number_B.tolist()):
            yield Document(
                f"{split}-{number:0{width}d}",
                " ".join(words[ends[row] : ends[row + 1]]),
                tuple(labels[starts[row] : starts[row + 1]]),
            )

    def labels_of(self, split: str, number_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (indptr (B+1), labels (int64)) of documents by their numbers, without their texts."""
        self._size(split)
        return self._planting[split].labels_of(number_B)

    def label_counts(self, split: str) -> np.ndarray:
        """Count the documents of each label (int64, L), without making a text."""
        counts, size = np.zeros(self.settings.labels, dtype=np.int64), self._size(split)
        for first in range(0, size, BLOCK):
            _, label = self.labels_of(split, np.arange(first, min(first + BLOCK, size)))
            np.add.at(counts, label, 1)
        return counts

    def filter_pairs(self, split: str) -> None:
        """Return None: no document is a label."""
        self._size(split)

    def _text(
        self, split: str, number_B: np.ndarray, indptr: np.ndarray, label: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (bounds (B+1), word numbers (W)) of the texts of documents."""
        mean = self.settings.words_per_document
        shortest = max(1, (mean + 1) // 2)
        longest = max(1, mean * 3 // 2)
        length = shortest + below(
            counter_bits(self._seed(f"{split} length"), number_B), longest - shortest + 1
        )
        bounds = np.concatenate([[0], np.cumsum(length)])
        row = np.repeat(np.arange(len(number_B)), length)
        place = np.arange(int(bounds[-1])) - bounds[row]
        bits = counter_bits(self._seed(f"{split} words"), number_B[row], place)
        # The low byte chooses the kind of word; what is read of the rest does not depend on it.
        kind, rest = (bits & np.uint64(255)).astype(np.int64), bits >> np.uint64(8)
        word = np.searchsorted(vocabulary().running, unit(bits), side="right")
        told = np.flatnonzero(kind < OF_LABELS) if len(label) else np.zeros(0, dtype=np.int64)
        degree = np.maximum(np.diff(indptr), 1)
        # Labels take turns, so that each is told as often as the others.
        which = label[np.minimum(indptr[row[told]] + place[told] % degree[row[told]], len(label) - 1)]
        word[told] = self._label_word(which, below(rest[told], LABEL_WORDS))
        topical = np.flatnonzero((kind >= OF_LABELS) & (kind < OF_LABELS + OF_TOPIC))
        topic = self._planting[split].topic_of(number_B)[row[topical]]
        word[topical] = self._topic_word(topic, below(rest[topical], TOPIC_WORDS))
        return bounds, word

    def _label_word(self, label: np.ndarray, k: np.ndarray) -> np.ndarray:
        bits = counter_bits(self._seed("label words"), label, k)
        word = self._content(bits)
        topical = np.flatnonzero(k < TOPIC_PART)
        topic = self._topic_L[label[topical]]
        word[topical] = self._topic_word(topic, below(bits[topical], TOPIC_WORDS))
        return word

    def _topic_word(self, topic: np.ndarray, k: np.ndarray) -> np.ndarray:
        return self._content(counter_bits(self._seed("topic words"), topic, k))

    def _content(self, bits: np.ndarray) -> np.ndarray:
        return COMMON + below(bits, len(self._words) - COMMON)

    def _seed(self, purpose: str) -> int:
        return derive(self.settings.seed, f"synthetic {purpose}")

    def _size(self, split: str) -> int:
        if split not in self._sizes:
            raise DataError(f"split: unknown value {split!r}; allowed: {', '.join(self.splits)}")
        return self._sizes[split]


class _Numbered(Sequence[str]):
    """The strings prefix0 … prefix(n−1), zero-padded, without a list of them."""

    def __init__(self, prefix: str, count: int) -> None:
        self._prefix, self._count = prefix, count
        self._width = len(str(max(0, count - 1)))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(f"{index}; allowed: 0 … {self._count - 1}")
        return f"{self._prefix}{index % self._count:0{self._width}d}"
