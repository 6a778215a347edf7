"""Rank-frequency curves of labels, and the numbers beside them, as tidy rows.

Shapes: L labels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xmcbench.data.label_frequency import TAIL
from xmcbench.data.published_shapes import SHAPES
from xmcbench.data.store import PreparedStore
from xmcbench.data.synthetic import SyntheticCorpus, SyntheticSource
from xmcbench.errors import ConfigError

COLUMNS = ["dataset", "source", "statistic", "rank", "value"]
#: Ranks shown of a curve, in equal ratios.
POINTS = 80

Row = dict[str, Any]


def embedded_rows(folder: Path) -> Iterator[Row]:
    """Yield rows of a prepared data set (training and validation documents) and of a synthetic one of its numbers."""
    store = PreparedStore.open(folder)
    counts_L = store.label_counts("train", "validation")
    documents = sum(store.split(name).documents for name in ("train", "validation"))
    name = store.manifest.dataset
    yield from _rows(name, "real", counts_L, documents)
    numbers = {
        "documents_train": documents,
        "documents_test": 0,
        "labels": store.labels,
        "labels_per_document": int(counts_L.sum()) / documents,
        "tail_share": float((counts_L <= TAIL).mean()),
    }
    yield from _synthetic(name, SyntheticSource.model_validate(numbers))


def published_rows(like: str) -> Iterator[Row]:
    """Yield a data set's published numbers and rows of a synthetic one like it; raises ConfigError for unknown names."""
    if like not in SHAPES:
        raise ConfigError(f"--like: unknown value {like!r}; allowed: {', '.join(SHAPES)}")
    shape = SHAPES[like]
    published = {
        "documents": shape.documents_train,
        "labels": shape.labels,
        "labels per document": shape.labels_per_document,
        "documents per label": shape.documents_per_label,
    }
    for statistic, value in published.items():
        if value is not None:
            yield {"dataset": shape.label, "source": "published", "statistic": statistic, "value": value}
    yield from _synthetic(shape.label, SyntheticSource.model_validate({"like": like}))


def _synthetic(dataset: str, settings: SyntheticSource) -> Iterator[Row]:
    counts_L = SyntheticCorpus(settings).label_counts("train")
    yield from _rows(dataset, "synthetic", counts_L, settings.documents_train)


def _rows(dataset: str, source: str, counts_L: np.ndarray, documents: int) -> Iterator[Row]:
    pairs, labels = int(counts_L.sum()), len(counts_L)
    statistics = {
        "documents": documents,
        "labels": labels,
        "labels per document": round(pairs / documents, 4),
        "documents per label": round(pairs / labels, 4),
        "tail share": round(float((counts_L <= TAIL).mean()), 4),
        "labels without documents": int((counts_L == 0).sum()),
    }
    head = {"dataset": dataset, "source": source}
    yield from ({**head, "statistic": key, "value": value} for key, value in statistics.items())
    falling = np.sort(counts_L)[::-1]
    for rank in np.unique(np.rint(np.geomspace(1, labels, POINTS)).astype(np.int64)).tolist():
        yield {**head, "statistic": "documents of rank", "rank": rank, "value": int(falling[rank - 1])}
