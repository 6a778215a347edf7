"""xz-compressed JSON lines, as the packaged sets are: one document a line with an id, a text, and a list of label ids.

A label's index is its place among the sorted ids that labelled documents name. Where every label is itself a document,
the label's text is that document's.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xmcbench.data.corpus import WHOLE, Document
from xmcbench.data.formats.lines import MOST_LABELS, lines
from xmcbench.errors import DataError

Row = tuple[str, str, list[str]]


class JsonlXz:
    """A corpus in one file, undivided."""

    splits = (WHOLE,)

    def __init__(self, path: Path, id_field: str, text_field: str, label_field: str) -> None:
        self._path, self._fields = path, (id_field, text_field, label_field)
        self._ids: list[str] | None = None

    def label_ids(self) -> Sequence[str]:
        if self._ids is None:
            self._ids = sorted({label for _, _, labels in self._rows() for label in labels})
        return self._ids

    def label_texts(self) -> Iterator[str] | None:
        known = set(self.label_ids())
        texts = {identity: text for identity, text, _ in self._rows() if identity in known}
        return (texts[label] for label in self.label_ids()) if len(texts) == len(known) else None

    def documents(self, split: str) -> Iterator[Document]:
        index = {label: i for i, label in enumerate(self.label_ids())}
        for identity, text, labels in self._rows():
            distinct = sorted({index[label] for label in labels})
            yield Document(identity, text, tuple(distinct), len(labels) - len(distinct))

    def filter_pairs(self, split: str) -> np.ndarray | None:
        return None

    def _rows(self) -> Iterator[Row]:
        """Yield (id, text, labels as written); an empty text or an empty label list is normal in XMC and passes."""
        seen: set[str] = set()
        for number, line in lines(self._path):
            place = f"{self._path}, line {number}"
            identity, text, labels = self._row(line, place)
            if identity in seen:
                raise DataError(f"{place}: id {identity!r} occurs a second time")
            seen.add(identity)
            yield identity, text, labels

    def _row(self, line: str, place: str) -> Row:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object, found {type(row).__name__}")
        values = []
        for field, kind in zip(self._fields, (str, str, list), strict=True):
            if field not in row:
                raise DataError(f"{place}: field {field!r} is missing; found: {', '.join(sorted(row))}")
            if not isinstance(row[field], kind):
                raise DataError(
                    f"{place}: field {field!r} is a {type(row[field]).__name__}; allowed: {kind.__name__}"
                )
            values.append(row[field])
        identity, text, labels = values
        for label in labels:
            if not isinstance(label, str):
                raise DataError(
                    f"{place}: field {self._fields[2]!r} holds a {type(label).__name__}; allowed: str"
                )
        if len(labels) > MOST_LABELS:
            raise DataError(f"{place}: {len(labels)} labels of one document; allowed: at most {MOST_LABELS}")
        return identity, text, labels
