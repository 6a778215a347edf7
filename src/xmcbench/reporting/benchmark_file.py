"""What pytest-benchmark's JSON holds of ours."""

import json
from pathlib import Path
from typing import Any

from xmcbench.errors import DataError, allowed


def measurements(source: Path) -> list[dict[str, Any]]:
    """Return the `extra_info` of every benchmark; raises DataError if the file is not of pytest-benchmark."""
    try:
        benchmarks = json.loads(source.read_text(encoding="utf-8"))["benchmarks"]
        return [benchmark["extra_info"] for benchmark in benchmarks]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{source}: not a pytest-benchmark JSON file ({error})") from error


def environment_of(source: Path, device: str) -> dict[str, Any]:
    """Return what `training.hardware` said of the machine that measured; raises DataError if the file does not say it."""
    try:
        known = json.loads(source.read_text(encoding="utf-8"))["machine_info"]["xmcbench"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{source}: not of our benchmarks, no machine is described ({error})") from error
    if device not in known:
        raise DataError(f"{source}: not measured on {device}; {allowed(list(known))}")
    found: dict[str, Any] = known[device]
    return found


def require_some(source: Path, measured: list[dict[str, Any]]) -> None:
    """Raise DataError if nothing was measured."""
    if not measured:
        raise DataError(f"{source}: holds no measurement (were all benchmarks skipped?)")
