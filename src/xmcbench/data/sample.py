"""From parsed documents to prepared stores: the whole data set, and a budget's sample of it.

Rules, in this order. Documents without labels are dropped (they can be neither learnt from nor scored) and counted.
Test and validation follow the split rule. A sample takes the share of training documents with smallest h under its
salt, keeps labels with enough of them, takes test documents likewise, restricts truth to kept labels, and drops
documents left without any. Label index = position among the sorted kept label ids.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from xmcbench.data.dataset import Counts, DatasetSpec, SampleSpec, require_counts
from xmcbench.data.parse_jsonl import Document, parse_jsonl
from xmcbench.data.split import hash_order, held_out
from xmcbench.data.store import Manifest, PreparedStore, Rows, write_store

Labelled = tuple[str, str, tuple[str, ...]]


def prepare(spec: DatasetSpec, folder: Path) -> Manifest:
    """Parse, split and write the whole data set; counts are compared with `counts.full`."""
    documents, statistics = _read(spec)
    train, test = _divide(documents, spec.split.salt, spec.split.test_share)
    return _write(spec, "full", folder, train, test, statistics)


def sample(prepared: Path, spec: DatasetSpec, budget: str, rule: SampleSpec, folder: Path) -> Manifest:
    """Write a budget's sample of a prepared data set; counts are compared with `counts.<budget>`."""
    store = PreparedStore.open(prepared)
    train = _smallest(_labelled(store, ("train", "validation")), rule)
    test = _smallest(_labelled(store, ("test",)), rule)
    counts = Counter(label for _, _, its in train for label in its)
    kept = {label for label, count in counts.items() if count >= rule.minimum_label_documents}
    restricted_train, dropped_train = _restrict(train, kept)
    restricted_test, dropped_test = _restrict(test, kept)
    statistics: dict[str, float] = {
        "documents without kept labels, train": dropped_train,
        "documents without kept labels, test": dropped_test,
    }
    return _write(spec, budget, folder, restricted_train, restricted_test, statistics)


def _read(spec: DatasetSpec) -> tuple[list[Labelled], dict[str, float]]:
    kept: list[Labelled] = []
    statistics = Counter[str]()
    document: Document
    for document in parse_jsonl(spec.source):
        statistics["documents in the file"] += 1
        statistics["empty texts"] += not document.text.strip()
        statistics["documents without labels"] += not document.labels
        statistics["repeated labels"] += document.repeated_labels
        if document.labels:
            kept.append((document.id, document.text, document.labels))
    names = ("documents in the file", "empty texts", "documents without labels", "repeated labels")
    return kept, {name: statistics[name] for name in names}


def _divide(documents: Sequence[Labelled], salt: str, share: float) -> tuple[list[Labelled], list[Labelled]]:
    out = set(held_out([d[0] for d in documents], [d[2] for d in documents], salt, share))
    stay = [d for i, d in enumerate(documents) if i not in out]
    return stay, [d for i, d in enumerate(documents) if i in out]


def _labelled(store: PreparedStore, names: tuple[str, ...]) -> list[Labelled]:
    label_ids = list(store.label_ids)
    found: list[Labelled] = []
    for name in names:
        split = store.split(name)
        for i, (identity, text) in enumerate(zip(split.ids(), split.texts(), strict=True)):
            its = split.indices[split.indptr[i] : split.indptr[i + 1]]
            found.append((identity, text, tuple(label_ids[j] for j in its)))
    return sorted(found)


def _smallest(documents: list[Labelled], rule: SampleSpec) -> list[Labelled]:
    order = hash_order([d[0] for d in documents], rule.salt)
    return [documents[i] for i in sorted(order[: round(rule.share * len(documents))])]


def _restrict(documents: list[Labelled], kept: set[str]) -> tuple[list[Labelled], int]:
    restricted = [(i, t, tuple(label for label in its if label in kept)) for i, t, its in documents]
    left = [d for d in restricted if d[2]]
    return left, len(restricted) - len(left)


def _write(
    spec: DatasetSpec,
    budget: str,
    folder: Path,
    train: list[Labelled],
    test: list[Labelled],
    statistics: dict[str, float],
) -> Manifest:
    label_ids = sorted({label for _, _, its in (*train, *test) for label in its})
    index = {label: i for i, label in enumerate(label_ids)}
    fit, validation = _divide(train, spec.split.validation_salt, spec.split.validation_share)
    counts = Counter(label for _, _, its in train for label in its)
    trained = Counter(label for _, _, its in fit for label in its)
    found = Counts(
        documents_train=len(train),
        documents_validation=len(validation),
        documents_test=len(test),
        labels=len(label_ids),
        pairs_train=sum(counts.values()),
        pairs_test=sum(len(its) for _, _, its in test),
    )
    require_counts(spec, budget, found)
    statistics = {
        **statistics,
        "empty texts kept": sum(not t.strip() for _, t, _ in (*train, *test)),
        "labels without training documents": sum(not trained[label] for label in label_ids),
        "labels with at most 5 training documents": sum(counts[label] <= 5 for label in label_ids),
        "labels per training document": round(found.pairs_train / max(1, len(train)), 4),
        "labels per test document": round(found.pairs_test / max(1, len(test)), 4),
        "training documents per label": round(found.pairs_train / max(1, len(label_ids)), 4),
    }
    splits = {
        name: Rows([d[0] for d in its], [d[1] for d in its], [[index[label] for label in d[2]] for d in its])
        for name, its in (("train", fit), ("validation", validation), ("test", test))
    }
    return write_store(folder, spec.name, label_ids, splits, statistics)
