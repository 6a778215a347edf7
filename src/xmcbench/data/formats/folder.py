"""A folder of public files: finds them wherever the archive put them, and says which one is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from xmcbench.data.formats.lines import MOST_LABELS, lines
from xmcbench.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True)
class Folder:
    """Files below `path`. latin_1, crlf: names of files in that encoding, or with those line ends."""

    path: Path
    latin_1: Sequence[str] = ()
    crlf: Sequence[str] = ()
    _found: dict[str, Path | None] = field(default_factory=dict)

    def file(self, *names: str) -> Path:
        """Return the file that has one of these names; raises DataError if there is none."""
        found = self.optional(*names)
        if found is None:
            raise DataError(f"{self.path}: holds no file named {' or '.join(names)}")
        return found

    def optional(self, *names: str) -> Path | None:
        """Return the file that has one of these names, or None; raises DataError if two folders hold one."""
        key = "/".join(names)
        if key not in self._found:
            if not self.path.is_dir():
                raise DataError(
                    f"{self.path}: no such folder; fetch the data set, or name the folder that has it"
                )
            for name in names:
                files = sorted(p for p in self.path.rglob(name) if p.is_file())
                if len(files) > 1:
                    raise DataError(
                        f"{self.path}: two files named {name} ({files[0]}, {files[1]}); name the folder of one of them"
                    )
                if files:
                    self._found[key] = files[0]
                    break
            else:
                self._found[key] = None
        return self._found[key]

    def lines(self, path: Path) -> Iterator[tuple[int, str]]:
        """Yield (number, text) of a file's lines."""
        return lines(path, latin_1=path.name in self.latin_1, crlf=path.name in self.crlf)

    def count(self, path: Path) -> int:
        """Count the lines of a file."""
        return sum(1 for _ in self.lines(path))


def paired(
    texts: Iterator[tuple[int, str]], others: Iterator[tuple[int, T]], text_path: Path, other_path: Path
) -> Iterator[tuple[int, str, T]]:
    """Yield (line number in the second file, text, other) of two files whose lines belong together.

    Raises DataError if one is longer.
    """
    while True:
        text, other = next(texts, None), next(others, None)
        if text is not None and other is not None:
            yield other[0], text[1], other[1]
        elif text is not None:
            raise DataError(
                f"{text_path}, line {text[0]}: belongs to no line of {other_path}, which is shorter"
            )
        elif other is not None:
            raise DataError(
                f"{other_path}, line {other[0]}: belongs to no line of {text_path}, which is shorter"
            )
        else:
            return


def label_indices(values: Sequence[int], labels: int, place: str) -> tuple[tuple[int, ...], int]:
    """Return distinct rising label indices and how many were repeated; raises DataError for one out of range."""
    if len(values) > MOST_LABELS:
        raise DataError(f"{place}: {len(values)} labels of one document; allowed: at most {MOST_LABELS}")
    distinct = sorted(set(values))
    if distinct and (distinct[0] < 0 or distinct[-1] >= labels):
        wrong = distinct[0] if distinct[0] < 0 else distinct[-1]
        raise DataError(f"{place}: label {wrong}; allowed: 0 … {labels - 1}")
    return tuple(distinct), len(values) - len(distinct)


def row_id(row: int) -> str:
    """Name a document that has no id of its own: its row, with zeros before it so that names sort as rows do."""
    return f"{row:09d}"
