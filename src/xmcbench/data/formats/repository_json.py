"""JSON lines of the Extreme Classification Repository: `trn.json.gz`, `tst.json.gz` with `uid`, `title`, `content`,
`target_ind` (rows of `lbl.json.gz`) and `target_rel`; `lbl.json.gz` with `title`; `filter_labels_{train,test}.txt`.
Files may be unpacked. Sets without label texts have `Yf.txt` (a name a line) in the place of `lbl.json.gz`, or neither: then
the labels are 0 … the largest that train or test names, and the declared count checks that.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xmcbench.data.corpus import Document
from xmcbench.data.formats.filters import read_filter
from xmcbench.data.formats.folder import Folder, label_indices, row_id
from xmcbench.errors import DataError

NAMES = {"train": "trn", "test": "tst"}
#: No index of the suite can hold more labels.
MOST = 2**31 - 1


class RepositoryJson:
    """A corpus in the repository's JSON lines. text_fields: of a document, joined by a blank."""

    splits = ("train", "test")

    def __init__(self, folder: Folder, text_fields: Sequence[str]) -> None:
        self._folder, self._fields = folder, tuple(text_fields)
        self._label_file = folder.optional("lbl.json.gz", "lbl.json", "Yf.txt")
        self._labels: int | None = None
        self._rows: dict[str, int] = {}

    def label_ids(self) -> Sequence[str]:
        return [str(i) for i in range(self._label_count())]

    def label_texts(self) -> Iterator[str] | None:
        path = self._label_file
        if path is None:
            return None
        if path.name == "Yf.txt":
            return (text for _, text in self._folder.lines(path))
        return (
            _text(_object(line, f"{path}, line {n}"), ("title",), f"{path}, line {n}")
            for n, line in self._folder.lines(path)
        )

    def documents(self, split: str) -> Iterator[Document]:
        path, labels = self._file(split), self._label_count()
        for row, (number, line) in enumerate(self._folder.lines(path)):
            place = f"{path}, line {number}"
            value = _object(line, place)
            text = _text(value, self._fields, place)
            distinct, repeated = label_indices(_targets(value, place), labels, place)
            yield Document(row_id(row), text, distinct, repeated)

    def filter_pairs(self, split: str) -> np.ndarray | None:
        rows = self._folder.count(self._file(split))
        names = (f"filter_labels_{split}.txt", f"{NAMES[split]}_filter_labels.txt")
        return read_filter(self._folder, *names, rows=rows, labels=self._label_count())

    def _file(self, split: str) -> Path:
        stem = NAMES[split]
        return self._folder.file(f"{stem}.json.gz", f"{stem}.json", f"{stem}.raw.json.gz", f"{stem}.raw.json")

    def _label_count(self) -> int:
        if self._labels is None:
            path = self._label_file
            self._labels = self._largest_label() + 1 if path is None else self._folder.count(path)
        return self._labels

    def _largest_label(self) -> int:
        largest = -1
        for path in map(self._file, self.splits):
            for number, line in self._folder.lines(path):
                place = f"{path}, line {number}"
                its = _targets(_object(line, place), place)
                largest = max(largest, max(its, default=-1))
                if largest >= MOST:
                    raise DataError(f"{place}: label {largest}; allowed: 0 … {MOST - 1}")
        return largest


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DataError(f"{place}: JSON nested too deeply") from error
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected an object, found {type(value).__name__}")
    return value


def _text(value: dict[str, Any], fields: Sequence[str], place: str) -> str:
    for name in fields:
        if name not in value:
            raise DataError(f"{place}: field {name!r} is missing; found: {', '.join(sorted(value))}")
        if not isinstance(value[name], str):
            raise DataError(f"{place}: field {name!r} is a {type(value[name]).__name__}; allowed: str")
    return " ".join(value[name] for name in fields if value[name])


def _targets(value: dict[str, Any], place: str) -> list[int]:
    """Return the labels of a document; those of relevance 0 are none of its labels."""
    found = value.get("target_ind")
    if not isinstance(found, list):
        raise DataError(
            f"{place}: field 'target_ind' is {type(found).__name__}; allowed: a list of label rows"
        )
    for label in found:
        # Whole numbers only: labels through float32 are wrong beyond 16.7 million.
        if type(label) is not int:
            raise DataError(f"{place}: field 'target_ind' holds {label!r}; allowed: whole numbers")
    relevance = value.get("target_rel")
    if relevance is None:
        return found
    if not isinstance(relevance, list) or len(relevance) != len(found):
        raise DataError(f"{place}: field 'target_rel' is not a list as long as 'target_ind' ({len(found)})")
    for weight in relevance:
        if type(weight) not in (int, float) or not math.isfinite(weight) or weight < 0:
            raise DataError(f"{place}: field 'target_rel' holds {weight!r}; allowed: finite numbers ≥ 0")
    return [label for label, weight in zip(found, relevance, strict=True) if weight > 0]
