"""Rows of experiments: a detailed ledger (`ledger.DETAILED`), with what was swept as columns of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xmcbench.errors import DataError
from xmcbench.evaluation.bands import ALL
from xmcbench.reporting.ledger import COLUMNS, no_ledger, whole_lines
from xmcbench.reporting.one_machine import timed_on_one_machine

#: Rows that are looked up, not searched for: of a metric, and of a metric of a run.
PART = ("metric", "band")
CELL = (*PART, "dataset", "budget", "method")
#: Columns of numbers; a seed is never left out.
NUMBERS = {"seed": "int64", "k": "Int64", "epoch": "float64"}


class ExperimentRows:
    """The rows of many runs, to be asked for by what was varied.

    `frame` has the ledger's columns, `written` (a value that is no number), and `base` (the method without its swept values), `axes` (the names of these, in
    their order, joined by commas; "" if none), and a column `@<axis>` for each, as text.
    """

    def __init__(self, frame: pd.DataFrame, labels: Mapping[str, str]) -> None:
        frame = frame.copy()
        frame["band"] = frame["band"].astype(object).where(frame["band"].notna(), ALL).replace("", ALL)
        base, axes, points = [], [], []
        for method in frame["method"].astype(str):
            name, point = parse_point(method)
            base.append(name)
            axes.append(",".join(point))
            points.append(point)
        frame["base"], frame["axes"] = base, axes
        for axis in sorted({axis for point in points for axis in point}):
            frame[f"@{axis}"] = [point.get(axis, "") for point in points]
        # Tables ask for thousands of cells: each takes the few rows of its run, of columns that lie together.
        texts = [column for column in frame if isinstance(frame[column].dtype, pd.StringDtype)]
        self.frame: pd.DataFrame = frame.astype(dict.fromkeys(texts, "object"))
        self.labels = dict(labels)
        self._parts, self._cells = self._rows_by(PART), self._rows_by(CELL)

    @classmethod
    def read(cls, path: Path, labels: Mapping[str, str], also: Sequence[Path] = ()) -> "ExperimentRows":
        """Read a detailed ledger; raises DataError if it is not there, none, cut off, or wrong. labels: method → what is shown.

        also: ledgers that are read with it where they are there, such as `paper_cost.csv`. Of a data set and budget only the
        times of one machine are kept.
        """
        if not path.is_file():
            raise DataError(f"{path}: missing; record the runs of an experiment first")
        frames = []
        for file in [path, *(other for other in also if other.is_file())]:
            lines = whole_lines(file)  # pandas would fill up a row that was cut off
            if (header := next(lines)) != COLUMNS:
                raise no_ledger(file, header)
            frame = pd.DataFrame(list(lines), columns=COLUMNS, dtype="object")
            for column, kind in NUMBERS.items():
                frame[column] = _numbers(frame[column], kind, file)
            frames.append(frame.astype(NUMBERS))
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        frame["written"] = frame["value"]  # bits and words are no numbers
        frame["value"] = pd.to_numeric(frame["value"], errors="coerce")
        return cls(timed_on_one_machine(frame, ["dataset", "budget"]), labels)

    @classmethod
    def none(cls) -> "ExperimentRows":
        """Return no rows: nothing was run."""
        return cls(pd.DataFrame(columns=[*COLUMNS, "written"]), {})

    def label(self, base: str) -> str:
        """Return what is shown for a method."""
        return self.labels.get(base, base)

    def final(
        self,
        metric: str,
        k: int | None = None,
        *,
        band: str = ALL,
        axes: Sequence[str] | None = (),
        **wanted: str | Sequence[str],
    ) -> pd.DataFrame:
        """Return the rows of a metric at the end of training.

        axes: exactly what was swept; () nothing, None whatever. wanted: values of columns, e.g. base="dense",
        dataset=…, budget=…; a sequence allows several.
        """
        frame = self._of(metric, k, band, axes, wanted)
        return frame[frame["epoch"].isna()]

    def curve(
        self,
        metric: str,
        k: int | None = None,
        *,
        axes: Sequence[str] | None = (),
        **wanted: str | Sequence[str],
    ) -> pd.DataFrame:
        """Return the rows of a metric over training, by rising epoch: how much of it lies before the point."""
        frame = self._of(metric, k, ALL, axes, wanted)
        return frame[frame["epoch"].notna()].sort_values(["dataset", "method", "seed", "epoch"])

    def _of(
        self,
        metric: str,
        k: int | None,
        band: str,
        axes: Sequence[str] | None,
        wanted: Mapping[str, str | Sequence[str]],
    ) -> pd.DataFrame:
        cell = (metric, band, *(wanted.get(column) for column in CELL[len(PART) :]))
        if all(isinstance(value, str) for value in cell):
            frame = self.frame.take(self._cells.get(cell, []))
            wanted = {column: value for column, value in wanted.items() if column not in CELL}
        else:
            frame = self.frame.take(self._parts.get((metric, band), []))
        right = pd.Series(True, index=frame.index)
        if k is not None:
            right &= frame["k"].eq(k).fillna(False).astype(bool)
        if axes is not None:
            right &= frame["axes"] == ",".join(axes)
        for column, value in wanted.items():
            right &= frame[column].isin([value] if isinstance(value, str) else list(value))
        return frame[right]

    def _rows_by(self, columns: Sequence[str]) -> dict[Any, Any]:
        """Return where the rows of each combination of columns stand."""
        return dict(self.frame.groupby(list(columns), sort=False).indices)


def _numbers(text: "pd.Series[str]", kind: str, file: Path) -> "pd.Series[float]":
    """Return a column as numbers, with nothing where nothing is; raises DataError naming the first line that has a word."""
    number = pd.to_numeric(text.where(text != ""), errors="coerce")
    wrong = number.isna() & (text != "")
    if kind != "float64":  # Int64 may be left out
        wrong |= (number % 1).fillna(1 if kind == "int64" else 0) != 0
    if wrong.any():
        at = int(wrong.to_numpy().argmax())
        allowed = "a number" if kind == "float64" else "a whole number"
        raise DataError(f"{file}: line {at + 2}: {text.name} is {text.iloc[at]!r}; allowed: {allowed}")
    return number


def parse_point(method: str) -> tuple[str, dict[str, str]]:
    """Return a method's base and its swept values: the way back of `plan.point_name`."""
    base, _, swept = method.partition("@")
    return base, dict(part.split("=", 1) for part in swept.split(",")) if swept else {}
