"""Results that are kept: one CSV under results/reference/ to which finished runs are added, and which says what is missing.

A row belongs to a recipe by its fingerprint: when a recipe changes, its old rows are stale, the run is planned again, and its
next record takes their place.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xmcbench.atomic import read_json, write_text
from xmcbench.errors import DataError
from xmcbench.plan import Run
from xmcbench.planned_run import row_of
from xmcbench.recipe import fingerprint
from xmcbench.reporting.collect import RUN_FILES, csv_text, resource_records
from xmcbench.reporting.detail_rows import detail_rows

COLUMNS = [
    "dataset",
    "method",
    "seed",
    "budget",
    "recipe",
    "metric",
    "k",
    "split",
    "value",
    "unit",
    "hardware",
    "band",
    "epoch",
]
#: So many of them name a row: no ledger is without.
NAMES = 6
#: Ledgers that keep more of a run than its end (`detail_rows`): what experiments are drawn from.
DETAILED = ("ablations", "runs")
#: What a processor decides; accuracy and bytes are the same on every one but for the last bits.
TIMES = ("epoch_seconds", "predict_documents_per_second", "train_seconds")
#: What is kept of every run: all of it would be thousands of rows.
METRICS = {("P", 1), ("P", 3), ("P", 5), ("PSP", 1), ("PSP", 3), ("PSP", 5)}

Row = dict[str, Any]


def read_ledger(path: Path) -> list[Row]:
    """Return the rows of a ledger; none if there is no file yet. Raises DataError if it was cut off, or is no ledger."""
    if not path.exists():
        return []
    lines = whole_lines(path)
    header = next(lines, [])
    if not set(COLUMNS[:NAMES]) <= set(header) <= set(COLUMNS):
        raise no_ledger(path, header)
    return [dict(zip(header, line, strict=True)) for line in lines]


def read_recorded(path: Path) -> list[Row]:
    """Return the rows of a ledger that must be there; raises DataError as `read_ledger` does, and if there is no file."""
    if not path.exists():
        raise DataError(f"{path}: missing; allowed: a ledger that `xmcbench record` wrote")
    return read_ledger(path)


def no_ledger(path: Path, header: Sequence[str]) -> DataError:
    """Return the error of a file whose columns are not a ledger's."""
    return DataError(f"{path}: columns {', '.join(header)}; allowed: {', '.join(COLUMNS)}")


def whole_lines(path: Path) -> Iterator[list[str]]:
    """Yield a ledger's header and rows; raises DataError at a row without every column, which a copy that was cut off has."""
    with open(path, encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        yield (header := next(lines, []))
        for line in lines:
            if len(line) != len(header):
                raise DataError(
                    f"{path}: line {lines.line_num}: {len(line)} columns; allowed: {len(header)}, as above"
                )
            yield line


def missing(runs: Sequence[Run], rows: Sequence[Row]) -> list[Run]:
    """Return the runs whose present recipe has no rows."""
    have = _recipes(rows)
    return [run for run in runs if _key(run) not in have]


def recorded(runs: Sequence[Run], rows: Sequence[Row]) -> list[Run]:
    """Return the runs whose present recipe has rows."""
    have = _recipes(rows)
    return [run for run in runs if _key(run) in have]


def rows_of(runs: Sequence[Run], root: Path, detailed: bool) -> list[Row]:
    """Return the rows of runs, all of which must be finished; raises DataError naming the first that is not."""
    rows: list[Row] = []
    for run in runs:
        found = _rows_of(run, root, detailed)
        if not found:
            raise DataError(f"{root / run.folder}: not finished, or made with another recipe")
        rows += found
    return sorted(rows, key=_place)


def record(path: Path, runs: Sequence[Run], root: Path) -> int:
    """Add every run that is finished to the ledger, in place of older rows of its name; return how many were added.

    root: the folder that holds results/. The file is replaced whole, sorted. Its name decides how much is kept of a run.
    """
    rows = read_ledger(path)
    added = 0
    for run in missing(runs, rows):
        found = _rows_of(run, root, path.stem in DETAILED)
        if found:
            rows = [row for row in rows if name_of(row) != name_of(found[0])] + found
            added += 1
    if added:
        rows.sort(key=_place)
        write_text(path, csv_text(COLUMNS, rows))
    return added


def record_times(path: Path, runs: Sequence[Run], root: Path) -> int:
    """Replace the times of runs that a ledger has by those of the same runs at root; return how many runs have other ones now.

    Times of one machine are compared with times of the same alone, and runs beside other work have none: a run that is repeated on a
    quiet machine brings them. Only they, and the hardware they were taken on, are its; all other rows stay.
    """
    rows = read_recorded(path)
    fresh = {}
    for run in recorded(runs, rows):
        times = [row for row in _rows_of(run, root, False) if row["metric"] in TIMES]
        if times:
            fresh[name_of_run(run)] = times
    return replace_rows(path, rows, fresh, lambda row: row["metric"] in TIMES)


def replace_rows(
    path: Path,
    rows: Sequence[Row],
    fresh: Mapping[tuple[str, ...], Sequence[Row]],
    replaced: Callable[[Row], bool],
) -> int:
    """Put records in place of some rows of runs (data set, method, seed, budget); return of how many runs they changed.

    A record has what its run's other rows have (recipe, hardware) where it does not say otherwise. Every other row stays as it is.
    """
    changed, kept = 0, [row for row in rows if name_of(row) not in fresh or not replaced(row)]
    of_run: dict[tuple[str, ...], list[Row]] = {name: [] for name in fresh}
    for row in rows:
        if name_of(row) in fresh:
            of_run[name_of(row)].append(row)
    for name, records in fresh.items():
        old = of_run[name]
        other = next(row for row in old if row["metric"] not in TIMES)  # times may be of another machine
        shared = {c: other[c] for c in (*COLUMNS[:5], "hardware")}
        new = [{**shared, "k": "", **record} for record in records]
        had = [(row["metric"], float(row["value"]), row["hardware"]) for row in old if replaced(row)]
        changed += sorted(had) != sorted((row["metric"], float(row["value"]), row["hardware"]) for row in new)
        kept += new
    if changed:
        write_text(path, csv_text(COLUMNS, sorted(kept, key=_place)))
    return changed


def _recipes(rows: Sequence[Row]) -> set[tuple[str, ...]]:
    return {(*name_of(row), row["recipe"]) for row in rows}


def _key(run: Run) -> tuple[str, ...]:
    return (*name_of_run(run), fingerprint(run.recipe))


def name_of_run(run: Run) -> tuple[str, ...]:
    """Return what `name_of` gives for each of a run's rows."""
    return (run.dataset, run.method, str(run.seed), run.budget)


def name_of(row: Row) -> tuple[str, ...]:
    """Return the run that a row belongs to: data set, method, seed, budget."""
    return (row["dataset"], row["method"], str(row["seed"]), row["budget"])


def _place(row: Row) -> list[str]:
    """Sort key; a ledger written before a column was there has nothing in it."""
    return [str(row.get(c) or "") for c in (*COLUMNS[:8], "band")] + [f"{float(row.get('epoch') or 0):09.3f}"]


def _rows_of(run: Run, root: Path, detailed: bool) -> list[Row]:
    folder = root / run.folder
    if any(not (folder / name).is_file() for name in RUN_FILES):
        return []
    if read_json(folder / "recipe.json") != json.loads(run.canonical_recipe):
        return []
    metrics = read_json(folder / "metrics.json")
    shared = row_of(run, run.budget, read_json(folder / "env.json")["hardware"])
    kept = [
        {"split": metrics["split"], **{c: r[c] for c in ("metric", "k", "value", "unit")}}
        for r in metrics["records"]
        if (r["metric"], r["k"]) in METRICS and r["band"] == r["ruler"] == "all"
    ]
    resources = [{"k": "", **r} for r in resource_records(read_json(folder / "timing.json"))]
    details = detail_rows(folder) if detailed else []
    return [{**shared, **row} for row in _drawn(run) + kept + resources + details]


def _drawn(run: Run) -> list[Row]:
    """Return what a random search set, as rows of the metric `recipe:<key>`."""
    rows = []
    for key in run.searched:
        value = run.value_of(key)
        rows.append({"metric": f"recipe:{key}", "k": "", "split": "", "value": value, "unit": ""})
    return rows
