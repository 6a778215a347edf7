"""One address → one checked file: streamed, resumed where it was cut, tried again, and never half there."""

import logging
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3
from tqdm import tqdm

from xmcbench.data.fetch.part_file import PartFile
from xmcbench.data.fetch.patience import Patience
from xmcbench.errors import FetchError

CHUNK = 1 << 18
#: Answers that may be other in a minute; all other refusals go to the next source at once.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _AgainError(Exception):
    """This attempt failed, the next may not."""

    def __init__(self, reason: str, asked: float | None = None) -> None:
        super().__init__(reason)
        self.asked = asked


def download(
    url: str,
    target: Path,
    *,
    check: Callable[[Path], None],
    size: int | None,
    pinned: bool,
    patience: Patience,
    log: logging.Logger,
) -> None:
    """Bring the bytes of an http(s) address to `target`, which appears only after `check` passed them.

    check: raises FetchError for wrong bytes. size: bytes, None if not known. pinned: whether `check` knows a hash;
    without one nothing is joined on the server's length alone. Raises FetchError of one line, without the address.
    """
    part = PartFile(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if part.stated().get("url") != url:
        part.drop()
    with _session(patience) as session:
        joined = _bring(session, url, part, size, pinned, patience, log)
        try:
            check_bytes(part, check)
        except FetchError as error:
            if not joined:
                raise
            # Pieces of two versions of a file look just like this: once more, in one piece.
            log.warning("%s: %s; starting again from its first byte", url, error)
            _bring(session, url, part, size, pinned, patience, log)
            check_bytes(part, check)
    part.finish()


def check_bytes(part: PartFile, check: Callable[[Path], None]) -> None:
    """Check a complete part file; wrong bytes are removed. Raises FetchError."""
    try:
        with open(part.path, "rb") as handle:
            _refuse_stand_in(handle.read(512))
        check(part.path)
    except FetchError:
        part.drop()
        raise


def _bring(
    session: requests.Session,
    url: str,
    part: PartFile,
    size: int | None,
    pinned: bool,
    patience: Patience,
    log: logging.Logger,
) -> bool:
    """Try until the part file is complete; return whether it was joined from several answers."""
    failures, furthest = 0, part.size()
    joined = furthest > 0
    while True:
        try:
            _attempt(session, url, part, size, pinned, patience)
            return joined
        except _AgainError as error:
            reached = part.size()
            # Every megabyte is progress: a server that cuts each answer short still gives the whole file.
            failures = 1 if reached >= furthest + (1 << 20) else failures + 1
            furthest, joined = max(furthest, reached), True
            if failures >= patience.attempts:
                raise FetchError(f"{error} ({patience.attempts} attempts)") from error
            wait = patience.wait(failures, error.asked)
            log.warning("%s: %s; again in %.1f s, from byte %d", url, error, wait, reached)
            time.sleep(wait)


def _attempt(
    session: requests.Session, url: str, part: PartFile, size: int | None, pinned: bool, patience: Patience
) -> None:
    """Ask once for what is missing, and take all of it; raises _AgainError or FetchError."""
    stated = part.stated()
    offset = part.size()
    if offset and stated.get("total") == offset:
        return
    validator = stated.get("validator")
    if offset and validator is None and not pinned:
        offset = 0  # nothing could tell that the rest belongs to another version
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator is not None:
            headers["If-Range"] = validator
    try:
        response = session.get(
            url,
            headers=headers,
            stream=True,
            timeout=(patience.connect_seconds, patience.stall_seconds),
        )
    except requests.TooManyRedirects as error:
        raise FetchError(f"redirects in a loop (gave up after {patience.redirects})") from error
    except requests.Timeout as error:
        raise _AgainError(f"no answer in {patience.stall_seconds:g} s") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _AgainError(f"no connection ({_cause(error)})") from error
    with response:
        offset = _begin(response, url, offset, stated.get("total"), part)
        total = _total(response, offset)
        _refuse(response, total, size, pinned, patience)
        _refuse_full_disk(part, None if total is None else total - offset)
        part.state(url, total, _validator(response))
        taken = _take(response, part, offset, total, size, patience)
        if total is None:
            part.state(url, taken, _validator(response))


def _begin(response: requests.Response, url: str, offset: int, total: int | None, part: PartFile) -> int:
    """Judge an answer's status; return the byte at which its body begins. Raises _AgainError or FetchError."""
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise FetchError(f"redirects to an address without https ({response.url})")
    status = response.status_code
    if status == 200:
        return 0
    if status == 206 and offset:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        same_total = found is not None and (total is None or found[2] in ("*", str(total)))
        if found is not None and int(found[1]) == offset and same_total:
            return offset
    if status in (206, 416):
        part.drop()
        raise _AgainError("the server answered with a range that was not asked for")
    if status in PASSING:
        asked = response.headers.get("Retry-After", "")
        raise _AgainError(f"HTTP {status} {response.reason}", float(asked) if asked.isdecimal() else None)
    raise FetchError(f"HTTP {status} {response.reason}")


def _refuse(
    response: requests.Response, total: int | None, size: int | None, pinned: bool, patience: Patience
) -> None:
    """Refuse by its headers what cannot be the file; raises FetchError."""
    if response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
        raise FetchError("the server sent a web page, not the file")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    archive = response.url.partition("?")[0].endswith((".gz", ".tgz"))
    # Some servers call a .gz file "encoded": its bytes are the file all the same.
    if encoding not in ("identity", "") and not archive:
        raise FetchError(f"the server sent the file encoded ({encoding}), which was not asked for")
    if total is not None and size is not None and total != size:
        raise FetchError(f"the server states {total} bytes; declared: {size}")
    if total is not None and total > patience.largest_bytes:
        raise FetchError(f"the server states {total} bytes; allowed: {patience.largest_bytes}")
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if total is None and size is None and not chunked and not pinned:
        raise FetchError(
            "the server states no length, and no size or hash is known: an end cannot be told from a cut"
        )


def _refuse_full_disk(part: PartFile, missing: int | None) -> None:
    free = shutil.disk_usage(part.target.parent).free
    if missing is not None and missing > free:
        raise FetchError(f"{part.target.parent}: {missing} bytes are to come, {free} are free")


def _refuse_stand_in(head: bytes) -> None:
    """Refuse by its first bytes what is sent in place of a file; raises FetchError."""
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise FetchError("the server sent a web page, not the file")
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise FetchError("the server sent a Git LFS pointer, not the file")


def _take(
    response: requests.Response,
    part: PartFile,
    offset: int,
    total: int | None,
    size: int | None,
    patience: Patience,
) -> int:
    """Write the body behind the first `offset` bytes; return how many there are then."""
    limit = next(n for n in (total, size, patience.largest_bytes) if n is not None)
    with open(part.path, "rb+" if offset else "wb") as handle, _bar(part, offset, total) as bar:
        handle.seek(offset)
        handle.truncate()
        taken = offset
        for chunk in _chunks(response, patience):
            taken += len(chunk)
            if taken > limit:
                part.drop()
                raise FetchError(f"the server sends more than {limit} bytes")
            handle.write(chunk)
            bar.update(len(chunk))
    if total is not None and taken != total:
        raise _AgainError(f"cut off after {taken} of {total} bytes")
    return taken


def _chunks(response: requests.Response, patience: Patience) -> Iterator[bytes]:
    """Yield the body as sent; only the network's failures become _AgainError (a full disk is none of them)."""
    while True:
        try:
            chunk = response.raw.read1(CHUNK, decode_content=False)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise _AgainError(f"silent for {patience.stall_seconds:g} s") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _AgainError(f"cut off ({_cause(error)})") from error
        if not chunk:
            return
        yield chunk


def _total(response: requests.Response, offset: int) -> int | None:
    """Return the bytes of the whole file, as far as the headers say it."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and "Transfer-Encoding" not in response.headers:
        return offset + int(length)
    found = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found is not None and offset else None


def _validator(response: requests.Response) -> str | None:
    """Return what If-Range may be asked with: a strong ETag, else the date."""
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _cause(error: BaseException) -> str:
    """Name the innermost cause in a few words; the outer messages are long and hold object addresses."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    text = str(getattr(error, "strerror", None) or error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


@contextmanager
def _session(patience: Patience) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.max_redirects = patience.redirects
        session.headers["User-Agent"] = "xmcbench"
        yield session


def _bar(part: PartFile, offset: int, total: int | None) -> Any:
    quiet = not sys.stderr.isatty()
    return tqdm(
        desc=part.target.name,
        initial=offset,
        total=total,
        unit="B",
        unit_scale=True,
        disable=quiet,
        leave=False,
    )
