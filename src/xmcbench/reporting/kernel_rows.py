"""pytest-benchmark's JSON of the kernels → results/collected/kernels.csv, one row a (measurement, peer)."""

from pathlib import Path
from typing import Any

from xmcbench.atomic import write_text
from xmcbench.reporting.benchmark_file import measurements, require_some
from xmcbench.reporting.collect import csv_text

COLUMNS = [
    *("operator", "backend", "peer", "dtype", "loss", "optimizer", "L", "D", "B", "K", "G", "threads"),
    *("seconds", "peer_seconds", "ratio", "share_of_sgemm", "zero_share", "extra_bytes", "hardware"),
]
MACHINE_COLUMNS = ["hardware", "key", "value"]
SETTING = ("operator", "backend", "dtype", "loss", "optimizer", "L", "D", "B", "K", "G", "threads")
#: Of the environment, what a reader of a timing asks for first.
FACTS = ("cpu", "cores", "platform", "python", "torch", "xmcbench", "finished")


def write_kernel_rows(source: Path, environment: dict[str, Any], out: Path) -> None:
    """Write `out` (kernels.csv) and `<stem>_machine.csv` (rates, versions) beside it.

    environment: of `xmcbench.training.hardware`. Raises DataError if the JSON is not ours or measured nothing.
    """
    hardware = environment["hardware"]
    measured = measurements(source)
    machine: dict[str, Any] = {}
    for info in measured:
        machine |= info.get("machine", {})
    # A machine's pace changes in minutes: what it can do is the best that any row met.
    of = "gpu_sgemm_rate" if "gpu_sgemm_rate" in machine else "sgemm_rate"
    met = [info["sgemm_rate"] for info in measured if info.get("sgemm_rate")]
    machine |= {of: max([*met, machine[of]])} if of in machine else {}
    rows = [row for info in measured if "operator" in info for row in _rows(info, hardware)]
    require_some(source, rows)
    write_text(out, csv_text(COLUMNS, rows))
    known = sorted(machine.items()) + [(key, environment[key]) for key in FACTS]
    facts = [{"hardware": hardware, "key": key, "value": value} for key, value in known]
    write_text(out.with_name(f"{out.stem}_machine.csv"), csv_text(MACHINE_COLUMNS, facts))


def _rows(info: dict[str, Any], hardware: str) -> list[dict[str, Any]]:
    """Expand a measurement: ours at another size that took the same turns is a row of its own, against the same rivals."""
    sgemm = info.get("sgemm_rate")  # of the same turns; absent where anything was skipped
    rivals: dict[str, float] = info["peers"]
    rows = []
    for its in [info, *(info | other for other in info.get("also", []))]:
        seconds = its["seconds"]
        row = {key: its[key] for key in SETTING} | {"seconds": seconds, "hardware": hardware}
        row |= {key: its.get(key) for key in ("zero_share", "extra_bytes")}
        if sgemm:
            row["share_of_sgemm"] = 6 * its["B"] * its["L"] * its["K"] / seconds / sgemm
        for name, peer_seconds in rivals.items() or [("", None)]:
            ratio = None if peer_seconds is None else peer_seconds / seconds
            rows.append({**row, "peer": name, "peer_seconds": peer_seconds, "ratio": ratio})
    return rows
