"""From a data set's public files to a prepared store.

An undivided set: documents without labels are dropped (they can be neither learnt from nor scored) and counted; test and
validation follow the split rule. A set published in train and test keeps every document of both, in their order, because
filter files name rows; validation is cut from train by the same rule. Nothing here grows with the texts.
"""

import tempfile
from collections import Counter
from pathlib import Path

from xmcbench.data.corpus import WHOLE, Corpus
from xmcbench.data.dataset import DatasetSpec, require_counts
from xmcbench.data.fetch.record import RECORD, read_record
from xmcbench.data.formats import open_corpus
from xmcbench.data.selection import Selection
from xmcbench.data.split import held_out
from xmcbench.data.statistics import counts_of, label_counts, statistics_of
from xmcbench.data.store import Manifest, PreparedStore
from xmcbench.data.store_writer import StoreWriter
from xmcbench.errors import DataError


def prepare(spec: DatasetSpec, folder: Path, raw: Path | None = None) -> Manifest:
    """Parse, split and write the whole data set; counts are compared with `counts.full`.

    raw: the folder of its files, if it is not a packaged one.
    """
    raw = raw if raw is not None else Path(spec.raw_folder())
    return prepare_corpus(spec, open_corpus(spec.source, raw, _fetched_format(raw)), folder)


def prepare_corpus(spec: DatasetSpec, corpus: Corpus, folder: Path) -> Manifest:
    """Write a corpus as a prepared store; its documents lie in a temporary one beside it until they are divided."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        statistics = _parse(corpus, Path(scratch) / "parsed", spec.name)
        parsed = PreparedStore.open(Path(scratch) / "parsed")
        train, test = _published(parsed, spec) if WHOLE not in corpus.splits else _divided(parsed, spec)
        indptr, indices = train.labels()
        rule = spec.split
        validation = held_out(
            train.ids(), indptr, indices, parsed.labels, rule.validation_salt, rule.validation_share
        )
        parts = {"train": train.at(~validation), "validation": train.at(validation), "test": test}
        held = label_counts(parsed.labels, parts)
        found = counts_of(parts, held)
        filters = {split: corpus.filter_pairs(split) for split in corpus.splits}
        found = found.model_copy(
            update={f"filter_pairs_{s}": len(p) for s, p in filters.items() if p is not None}
        )
        require_counts(spec, "full", found)
        with StoreWriter(folder, spec.name) as store:
            for identity in parsed.label_ids:
                store.texts("label_ids").append(identity)
            texts = corpus.label_texts()
            if texts is not None:
                for text in texts:
                    store.texts("label_texts").append(text)
            for name, part in parts.items():
                part.copy(store.splits[name])
                store.filter_pairs(name, part.pairs([filters.get("test" if name == "test" else "train")]))
            return store.close({**statistics, **statistics_of(parts, held)})


def _parse(corpus: Corpus, folder: Path, dataset: str) -> dict[str, float]:
    counts = Counter[str]()
    with StoreWriter(folder, dataset, corpus.splits) as store:
        for identity in corpus.label_ids():
            store.texts("label_ids").append(identity)
        for split in corpus.splits:
            for document in corpus.documents(split):
                counts["documents in the file"] += 1
                counts["empty texts"] += not document.text.strip()
                counts["documents without labels"] += not document.labels
                counts["repeated labels"] += document.repeated_labels
                if document.labels or split != WHOLE:
                    store.splits[split].append(document.id, document.text, document.labels)
        store.close({})
    names = ("documents in the file", "empty texts", "documents without labels", "repeated labels")
    return {name: counts[name] for name in names}


def _published(parsed: PreparedStore, spec: DatasetSpec) -> tuple[Selection, Selection]:
    for name in ("train", "test"):
        if parsed.split(name).documents == 0:
            raise DataError(f"config/datasets/{spec.name}.yaml: source: no document for {name}")
    return Selection.of([parsed.split("train")]), Selection.of([parsed.split("test")])


def _divided(parsed: PreparedStore, spec: DatasetSpec) -> tuple[Selection, Selection]:
    everything = Selection.of([parsed.split(WHOLE)])
    indptr, indices = everything.labels()
    out = held_out(everything.ids(), indptr, indices, parsed.labels, spec.split.salt, spec.split.test_share)
    return everything.at(~out), everything.at(out)


def _fetched_format(raw: Path) -> str | None:
    """Return the format that a mirror gave, as the fetch step noted it."""
    return read_record(raw).format if (raw / RECORD).is_file() else None
