"""What a fetch leaves beside a data set's files: `fetched.json`, written last."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from xmcbench.atomic import write_json
from xmcbench.data.fetch.digest import Digest
from xmcbench.data.fetch.sources import Format
from xmcbench.errors import DataError
from xmcbench.yaml_config import first_mistake

RECORD = "fetched.json"

#: Why bytes are believed: a hash in the list of sources, one of the lock file, none yet, or a user's own copy.
Trust = Literal["declared", "lock", "first use", "by hand"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FetchedFile(_Section):
    """A file in place."""

    name: str
    size: int
    sha256: str


class FetchedSource(_Section):
    """A download: its address (None: placed by hand), its digest, and why its bytes are believed."""

    file: str
    url: str | None
    size: int
    sha256: str
    git: str
    tree: str | None
    trust: Trust

    def matches(self, hash: str) -> bool:
        """Tell whether the download had a hash of any spelling."""
        return hash == self.tree or Digest(self.size, self.sha256, self.git).matches(hash)


class Fetched(_Section):
    """The record: data set, bundle and format that it came in, UTC time, downloads and files."""

    version: Literal[1]
    dataset: str
    bundle: str
    format: Format
    date: str
    sources: tuple[FetchedSource, ...]
    files: tuple[FetchedFile, ...]


def read_record(folder: Path) -> Fetched:
    """Read a folder's record; raises DataError if there is none or it is not one."""
    path = folder / RECORD
    if not path.is_file():
        raise DataError(f"{path}: missing; fetch the data set first")
    try:
        return Fetched.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path}: {first_mistake(error, Fetched)}; fetch the data set again") from error


def write_record(folder: Path, record: Fetched) -> None:
    """Write a folder's record, atomically."""
    write_json(folder / RECORD, record.model_dump(mode="json"))
