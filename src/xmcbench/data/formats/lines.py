"""Lines of text files as the public archives hold them: plain, gzip, bzip2 or xz, one at a time.

A line ends at a line feed and nowhere else: Unicode has other separators, which occur inside documents.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from xmcbench.errors import DataError

#: A longer line is no document; Wikipedia's longest article has 2 MiB.
LONGEST_LINE = 64 << 20
#: More labels of one document are a damaged file; the largest count of a public set is some ten thousand.
MOST_LABELS = 100_000

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BOM = b"\xef\xbb\xbf"


def lines(path: Path, latin_1: bool = False, crlf: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text without its line end).

    latin_1: bytes are ISO 8859-1 instead of UTF-8. crlf: lines end in CR LF. Raises DataError naming file and line for
    an empty file, a truncated or damaged archive, bytes that are not UTF-8, a byte-order mark, a carriage return at a
    line's end that was not announced, and a line that is too long.
    """
    number = 0
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as handle:
            for number, raw in _raw_lines(handle, path):
                yield number, _decoded(raw, path, number, latin_1, crlf)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}, after line {number}: truncated or damaged archive ({error})") from error
    except OSError as error:
        raise DataError(f"{path}, after line {number}: cannot be read ({error})") from error
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def _raw_lines(handle: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    while raw := handle.readline(LONGEST_LINE):
        number += 1
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            raise DataError(f"{path}, line {number}: longer than {LONGEST_LINE >> 20} MiB")
        yield number, raw


def _decoded(raw: bytes, path: Path, number: int, latin_1: bool, crlf: bool) -> str:
    raw = raw.removesuffix(b"\n")
    if raw.endswith(b"\r"):
        if not crlf:
            raise DataError(
                f"{path}, line {number}: ends in a carriage return (CRLF); convert the file, or list it under "
                f"'source.crlf'"
            )
        raw = raw[:-1]
    if number == 1 and raw.startswith(BOM):
        raise DataError(f"{path}, line 1: begins with a byte-order mark; remove it")
    if latin_1:
        return raw.decode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: not UTF-8 (byte {error.start}); if it is Latin-1, list the file under "
            "'source.latin_1'"
        ) from error
