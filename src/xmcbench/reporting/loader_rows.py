"""pytest-benchmark's JSON of the loader → results/collected/loader.csv, one row a (measurement, peer)."""

from pathlib import Path
from typing import Any

from xmcbench.atomic import write_text
from xmcbench.reporting.benchmark_file import measurements, require_some
from xmcbench.reporting.collect import csv_text

SETTING = ("operator", "dataset", "budget", "batch_size", "length_bucket", "padding_share")
COLUMNS = [
    *SETTING,
    *("documents", "seconds", "documents_per_second"),
    *("peer", "peer_documents", "peer_seconds", "peer_documents_per_second", "ratio", "hardware"),
]


def write_loader_rows(source: Path, environment: dict[str, Any], out: Path) -> None:
    """Write `out` (loader.csv); `ratio` is ours over the peer's in documents a second.

    environment: of `xmcbench.training.hardware`. Raises DataError if the JSON is not ours or measured nothing.
    """
    measured = [info for info in measurements(source) if "documents" in info]
    require_some(source, measured)
    rows = [row for info in measured for row in _rows(info, environment["hardware"])]
    write_text(out, csv_text(COLUMNS, rows))


def _rows(info: dict[str, Any], hardware: str) -> list[dict[str, Any]]:
    rate = info["documents"] / info["seconds"]
    own = {key: info.get(key) for key in SETTING} | {
        "documents": info["documents"],
        "seconds": info["seconds"],
        "documents_per_second": rate,
        "hardware": hardware,
    }
    rows = []
    for peer, seconds in info["peers"].items() or [("", None)]:
        row = {**own, "peer": peer}
        if seconds is not None:
            documents = info["peer_documents"].get(peer, info["documents"])
            its = documents / seconds
            row |= {"peer_documents": documents, "peer_seconds": seconds}
            row |= {"peer_documents_per_second": its, "ratio": rate / its}
        rows.append(row)
    return rows
