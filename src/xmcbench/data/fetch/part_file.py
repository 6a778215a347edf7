"""A download that is not finished: `<name>.part`, and beside it what the server said of the whole file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmcbench.atomic import read_json, sync_folder, write_json


@dataclass(frozen=True)
class PartFile:
    """The bytes so far, kept over crashes, and the name they get when all of them have been checked."""

    target: Path

    @property
    def path(self) -> Path:
        """Where the bytes so far lie."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def statement(self) -> Path:
        """What the server said; it stays beside the finished file and tells that it was not placed by hand."""
        return self.target.with_name(self.target.name + ".source.json")

    def stated(self) -> dict[str, Any]:
        """Return what was said: url, total (bytes or None), validator (of If-Range, or None)."""
        try:
            value = read_json(self.statement)
        except (OSError, json.JSONDecodeError, UnicodeDecodeError):
            return {}
        return value if isinstance(value, dict) else {}

    def state(self, url: str, total: int | None, validator: str | None) -> None:
        """Keep what a server says before the first byte of the body is written."""
        write_json(self.statement, {"url": url, "total": total, "validator": validator})

    def size(self) -> int:
        """Return the bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def drop(self) -> None:
        """Remove the bytes so far and the statement."""
        self.path.unlink(missing_ok=True)
        self.statement.unlink(missing_ok=True)

    def finish(self) -> None:
        """Flush the bytes to disk and give them their final name."""
        with open(self.path, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(self.path, self.target)
        sync_folder(self.target.parent)
