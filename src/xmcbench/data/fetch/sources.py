"""The list of public sources, `config/sources.tsv`: one row a file and address.

Rows of one `bundle` are fetched together; a file that occurs twice in it has mirrors, tried in the order of the rows.
A data set's bundles are tried in the order in which they first occur; another bundle may hold another format.
"""

import csv
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from xmcbench.data.fetch.archive import is_archive
from xmcbench.data.fetch.digest import is_hash
from xmcbench.errors import ConfigError, allowed
from xmcbench.yaml_config import validated

Format = Literal["pecos", "raw_texts", "repository_json", "sparse_texts"]
Kind = Literal["primary", "mirror", "archive"]
FORMATS: tuple[str, ...] = get_args(Format)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_LOCAL = {"127.0.0.1", "localhost", "::1"}


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name; allowed: letters, digits, '_', '.', '+', '-'")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if not parts.hostname or not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    ):
        raise ValueError(f"{text!r} is no address; allowed: https://…")
    return text


def _hash(text: str | None) -> str | None:
    if text is not None and not is_hash(text):
        spellings = "sha256:<64 hex digits>, git:<40 hex digits>, tree:<64 hex digits>"
        raise ValueError(f"{text!r} is no hash; allowed: empty, {spellings}")
    return text


class Source(BaseModel):
    """One row: where a file can be had, and what is known of its bytes (None: not known)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset: Annotated[str, AfterValidator(_name)]
    bundle: Annotated[str, AfterValidator(_name)]
    format: Format
    file: Annotated[str, AfterValidator(_name)]
    kind: Kind
    url: Annotated[str, AfterValidator(_url)]
    size: Annotated[int, Field(gt=0)] | None = None
    hash: Annotated[str | None, AfterValidator(_hash)] = None
    licence: str = ""
    added: date
    note: str = ""

    @property
    def host(self) -> Literal["drive", "folder", "https"]:
        """How the file is asked for: through Google Drive's pages, as a Dropbox folder, or plainly."""
        parts = urlsplit(self.url)
        if parts.hostname in ("drive.google.com", "docs.google.com"):
            return "drive"
        if parts.hostname == "www.dropbox.com" and parts.path.startswith("/scl/fo/"):
            return "folder"
        return "https"

    @property
    def stable(self) -> bool:
        """Whether two downloads have the same bytes; a folder that its host zips each time has not."""
        return self.host != "folder" and not (self.hash or "").startswith("tree:")

    @property
    def download_url(self) -> str:
        """The address that gives bytes: of a Dropbox folder, the zip (`dl=1`) rather than its page."""
        if self.host != "folder":
            return self.url
        parts = urlsplit(self.url)
        query = [(key, value) for key, value in parse_qsl(parts.query) if key != "dl"]
        return urlunsplit(parts._replace(query=urlencode([*query, ("dl", "1")])))


COLUMNS = tuple(Source.model_fields)


@dataclass(frozen=True)
class Bundle:
    """The files of a data set that belong together; each with its sources in order."""

    dataset: str
    name: str
    format: Format
    files: dict[str, tuple[Source, ...]]


def read_sources(path: Path) -> dict[str, tuple[Bundle, ...]]:
    """Read and check a list of sources: data set → bundles in order.

    Raises ConfigError naming file, line, key and what is allowed.
    """
    rows: dict[tuple[str, str], list[Source]] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for line, source in _rows(path):
        place = f"{path}, line {line}"
        known = rows.setdefault((source.dataset, source.bundle), [])
        if known and known[0].format != source.format:
            raise ConfigError(
                f"{place}: key 'format': bundle {source.bundle!r} of {source.dataset} is {known[0].format!r} in an "
                f"earlier line; allowed: one format a bundle"
            )
        if not source.stable and not is_archive(source.file):
            raise ConfigError(
                f"{place}: key 'file': {source.file!r}: a folder comes packed; allowed: a name that ends in .zip"
            )
        identity = (source.dataset, source.bundle, source.url)
        if identity in seen:
            raise ConfigError(f"{place}: key 'url': {source.url} is in line {seen[identity]} already")
        seen[identity] = line
        known.append(source)
    found: dict[str, list[Bundle]] = {}
    for (dataset, name), sources in rows.items():
        names = dict.fromkeys(source.file for source in sources)
        files = {file: tuple(s for s in sources if s.file == file) for file in names}
        found.setdefault(dataset, []).append(Bundle(dataset, name, sources[0].format, files))
    return {dataset: tuple(bundles) for dataset, bundles in found.items()}


def bundles_of(path: Path, dataset: str) -> tuple[Bundle, ...]:
    """Return a data set's bundles; raises ConfigError if the list does not know it."""
    found = read_sources(path)
    if dataset not in found:
        raise ConfigError(f"{path}: no source of data set {dataset!r}; {allowed(found)}")
    return found[dataset]


def _rows(path: Path) -> list[tuple[int, Source]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start})") from error
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(lines, [])
    if tuple(header) != COLUMNS:
        raise ConfigError(
            f"{path}, line 1: columns are {', '.join(header) or 'none'}; allowed: {', '.join(COLUMNS)}"
        )
    found = []
    for fields in lines:
        if not fields or fields[0].startswith("#"):
            continue
        place = f"{path}, line {lines.line_num}"
        if len(fields) != len(COLUMNS):
            raise ConfigError(f"{place}: {len(fields)} columns; allowed: {len(COLUMNS)}, parted by tabs")
        values: dict[str, object] = dict(zip(COLUMNS, fields, strict=True))
        for key in ("size", "hash"):
            values[key] = values[key] or None
        if values["size"] is not None:
            values["size"] = _integer(place, fields[COLUMNS.index("size")])
        values["added"] = _date(place, fields[COLUMNS.index("added")])
        found.append((lines.line_num, validated(place, Source, values)))
    return found


def _integer(place: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ConfigError(f"{place}: key 'size': {text!r}; allowed: bytes as digits, or empty")
    return int(text)


def _date(place: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{place}: key 'added': {text!r}; allowed: a date, YYYY-MM-DD") from error
