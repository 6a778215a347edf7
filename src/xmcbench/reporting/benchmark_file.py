"""What pytest-benchmark's JSON holds of ours."""

import json
from pathlib import Path
from typing import Any

from xmcbench.errors import DataError


def measurements(source: Path) -> list[dict[str, Any]]:
    """Return the `extra_info` of every benchmark; raises DataError if the file is not of pytest-benchmark."""
    try:
        benchmarks = json.loads(source.read_text(encoding="utf-8"))["benchmarks"]
        return [benchmark["extra_info"] for benchmark in benchmarks]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{source}: not a pytest-benchmark JSON file ({error})") from error


def require_some(source: Path, measured: list[dict[str, Any]]) -> None:
    """Raise DataError if nothing was measured."""
    if not measured:
        raise DataError(f"{source}: holds no measurement (were all benchmarks skipped?)")
