"""Parser of xz-compressed JSON lines: one document a line with an id, a text, and a list of label ids."""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmcbench.data.dataset import Source
from xmcbench.errors import DataError


@dataclass(frozen=True)
class Document:
    """One document; `labels` are distinct label ids in rising order."""

    id: str
    text: str
    labels: tuple[str, ...]
    repeated_labels: int = 0


def parse_jsonl(source: Source) -> Iterator[Document]:
    """Yield the documents of a file one at a time.

    An empty text or an empty label list is normal in XMC and passes. Raises DataError naming file and line for a
    truncated archive, bad UTF-8, bad JSON, a missing or mistyped field, and an id that occurs twice.
    """
    path = source.path()
    seen: set[str] = set()
    number = 0
    try:
        with lzma.open(path, "rb") as lines:
            for number, raw in enumerate(lines, start=1):
                yield _document(raw, source, path, number, seen)
    except (EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}, after line {number}: truncated or damaged xz archive ({error})") from error


def _document(raw: bytes, source: Source, path: Path, number: int, seen: set[str]) -> Document:
    place = f"{path}, line {number}"
    try:
        row = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected an object, found {type(row).__name__}")
    values = []
    for field, kind in ((source.id_field, str), (source.text_field, str), (source.label_field, list)):
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
                f"{place}: field {source.label_field!r} holds a {type(label).__name__}; allowed: str"
            )
    if identity in seen:
        raise DataError(f"{place}: id {identity!r} occurs a second time")
    seen.add(identity)
    distinct = sorted(set(labels))
    return Document(identity, text, tuple(distinct), len(labels) - len(distinct))
