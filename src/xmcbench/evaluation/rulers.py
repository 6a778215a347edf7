"""Rulers: by which pairs a run is scored. Each gives records of its own; all score the same stored predictions.

| ruler | out of the predictions | out of the truth |
|---|---|---|
| all | the data set's filter pairs (a document that is a label must not predict itself) | nothing |
| new_links | the filter pairs and every mirrored pair | every mirrored pair |

The filter removes predictions only, the truth stays: the rule of the public LF sets. Because it acts on a ranking that
was cut off, more than k predictions are stored, as many as keep k of them whatever a ruler removes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xmcbench.data.store import PreparedStore
from xmcbench.errors import DataError, allowed
from xmcbench.evaluation.bands import ALL
from xmcbench.evaluation.new_links import mirrored_pairs
from xmcbench.evaluation.pairs import Pairs

#: Names that `evaluation.rulers` may hold, with the pairs that each takes out of predictions and truth.
RULERS: dict[str, Callable[[PreparedStore], Pairs]] = {"new_links": mirrored_pairs}


@dataclass(frozen=True)
class Ruler:
    """Pairs (document of the test split, label) that are removed before scoring."""

    name: str
    from_predictions: Pairs
    from_truth: Pairs


def plain_ruler(labels: int) -> Ruler:
    """Return the ruler that removes nothing."""
    nothing = Pairs.of(None, 0, labels)
    return Ruler(ALL, nothing, nothing)


def filter_of(store: PreparedStore, name: str) -> Pairs:
    """Return the filter pairs of a split (none for most data sets); raises DataError for pairs out of range."""
    source = f"{store.folder}: filter of {name}"
    return Pairs.of(store.filter_pairs(name), store.split(name).documents, store.labels, source)


def rulers_of(store: PreparedStore, names: Sequence[str] = (), split: str = "test") -> list[Ruler]:
    """Return the ruler `all` and the named ones (of the test split alone); raises DataError for one that does not fit."""
    barred = filter_of(store, split)
    rulers = [Ruler(ALL, barred, Pairs.of(None, 0, store.labels))]
    for name in names:
        if name not in RULERS:
            raise DataError(f"evaluation.rulers: unknown value {name!r}; {allowed(RULERS)}")
        removed = RULERS[name](store)
        rulers.append(Ruler(name, barred | removed, removed))
    return rulers


def predictions_to_store(store: PreparedStore, k: int, names: Sequence[str] = (), split: str = "test") -> int:
    """Return how many predictions of each document of a split leave k after any ruler: k + the most that one removes."""
    return k + max(ruler.from_predictions.most_of_one_document for ruler in rulers_of(store, names, split))
