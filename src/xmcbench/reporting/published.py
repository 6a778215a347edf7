"""What papers print: results/published/*.csv, read and checked."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmcbench.errors import DataError, allowed

if TYPE_CHECKING:  # the workflow asks for the data sets at every start, and needs no pandas for it
    import pandas as pd

COLUMNS = [
    "paper",
    "table",
    "dataset",
    "method",
    "ours",
    "metric",
    "k",
    "value",
    "unit",
    "hardware",
    "seeds",
    "tolerance",
    "source",
    "certainty",
]
CERTAINTIES = ("confirmed", "reported", "unverified", "not recovered")
#: Metric → whether it has a k.
METRICS = {
    "P": True,
    "PSP": True,
    "peak_memory": False,
    "epoch_seconds": False,
    "train_hours": False,
    "epochs": False,
    "memory_ratio": False,
    "p1_gain": False,
}
#: A file of another shape, which the table of data sets reads.
OTHER = ("datasets.csv",)
IDENTITY = ["paper", "table", "dataset", "method", "metric", "k"]


def printed_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the row of every printed number; raises DataError naming file, line, column and what is allowed."""
    rows: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.csv")):
        if file.name in OTHER:
            continue
        with open(file, encoding="utf-8", newline="") as text:
            reader = csv.DictReader(text)
            if reader.fieldnames != COLUMNS:
                raise DataError(f"{file}: columns {reader.fieldnames}; allowed: {', '.join(COLUMNS)}")
            seen: dict[tuple[str, ...], int] = {}
            for row in reader:
                place = f"{file}, line {reader.line_num}"
                _check(row, place)
                identity = tuple(row[c] for c in IDENTITY)
                if identity in seen:
                    raise DataError(f"{place}: the number of line {seen[identity]} a second time")
                seen[identity] = reader.line_num
                rows.append(row)
    return rows


def read_published(folder: Path) -> "pd.DataFrame":
    """Return every printed number; value and tolerance are NaN where there is none. Raises as `printed_rows` does."""
    import pandas as pd

    frame = pd.DataFrame(printed_rows(folder), columns=COLUMNS)
    for column in ("value", "tolerance"):
        frame[column] = pd.to_numeric(frame[column].replace("", None))
    frame["k"] = pd.to_numeric(frame["k"].replace("", None)).astype("Int64")
    return frame


def datasets_of(folder: Path) -> list[str]:
    """Return the data sets that have printed numbers; raises as `printed_rows` does."""
    return sorted({row["dataset"] for row in printed_rows(folder)})


def _check(row: dict[str, str], place: str) -> None:
    if None in row or None in row.values():
        raise DataError(f"{place}: not {len(COLUMNS)} columns")
    for column, known in (("certainty", CERTAINTIES), ("metric", tuple(METRICS))):
        if row[column] not in known:
            raise DataError(f"{place}: {column} {row[column]!r}; {allowed(known)}")
    if bool(row["k"]) != METRICS[row["metric"]] or (row["k"] and not row["k"].isdigit()):
        kind = "a positive integer" if METRICS[row["metric"]] else "none"
        raise DataError(f"{place}: k {row['k']!r} of {row['metric']}; allowed: {kind}")
    for column in ("value", "tolerance"):
        if row[column]:
            try:
                float(row[column])
            except ValueError:
                raise DataError(f"{place}: {column} {row[column]!r}; allowed: a number") from None
    if bool(row["value"]) == (row["certainty"] == "not recovered"):
        raise DataError(f"{place}: value {row['value']!r} is {row['certainty']}; allowed: one or the other")
