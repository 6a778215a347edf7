"""Trust on first use: the hash of a file that no public record pins is kept, and later downloads must have it."""

import csv
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from xmcbench.atomic import write_text
from xmcbench.data.fetch.digest import is_hash
from xmcbench.errors import ConfigError, FetchError


@dataclass(frozen=True)
class Seen:
    """What the first download of an address was."""

    url: str
    dataset: str
    file: str
    size: int
    hash: str
    date: str


COLUMNS = tuple(field.name for field in fields(Seen))


class LockFile:
    """A TSV file that belongs under version control beside the list of sources; absent means empty."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Seen]:
        """Return address → what was seen; raises ConfigError naming file and line."""
        if not self.path.is_file():
            return {}
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.path}: not UTF-8 (byte {error.start})") from error
        lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        if tuple(next(lines, [])) != COLUMNS:
            raise ConfigError(f"{self.path}, line 1: wrong columns; allowed: {', '.join(COLUMNS)}")
        found: dict[str, Seen] = {}
        for row in lines:
            place = f"{self.path}, line {lines.line_num}"
            if len(row) != len(COLUMNS):
                raise ConfigError(f"{place}: {len(row)} columns; allowed: {len(COLUMNS)}, parted by tabs")
            url, dataset, file, size, hash, date = row
            if not size.isdecimal() or not is_hash(hash):
                raise ConfigError(
                    f"{place}: size {size!r}, hash {hash!r}; allowed: bytes as digits, and sha256: or tree: with 64 hex digits"
                )
            if url in found:
                raise ConfigError(f"{place}: a second line for {url}; allowed: one (remove the wrong one)")
            found[url] = Seen(url, dataset, file, int(size), hash, date)
        return found

    def record(self, seen: Seen) -> None:
        """Add a line, whatever other processes write meanwhile; raises FetchError if one of them saw other bytes."""
        with folder_lock(self.path.parent):
            known = self.read()
            other = known.get(seen.url)
            if other is not None:
                if other.hash != seen.hash:
                    raise FetchError(self.mismatch(other, seen.hash))
                return
            known[seen.url] = seen
            text = io.StringIO()
            writer = csv.writer(
                text, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n", quotechar=None
            )
            writer.writerow(COLUMNS)
            writer.writerows(
                astuple(s) for s in sorted(known.values(), key=lambda s: (s.dataset, s.file, s.url))
            )
            write_text(self.path, text.getvalue())

    def mismatch(self, known: Seen, found: str) -> str:
        """Say that an address gives other bytes than the first time, and what to do."""
        return (
            f"{known.url}: its first download ({known.date}) had {known.hash}, this one {found}; if the publisher "
            f"replaced the file and you trust the new one, remove its line from {self.path}"
        )


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for the block, waiting for other processes; the system frees it when its holder dies.

    The folder itself is locked: a lock file would lie about in a folder under version control.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
