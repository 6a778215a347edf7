"""Rows of experiments: a detailed ledger (`ledger.DETAILED`), with what was swept as columns of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from xmcbench.errors import DataError
from xmcbench.evaluation.bands import ALL
from xmcbench.reporting.ledger import COLUMNS, whole_lines
from xmcbench.reporting.one_machine import timed_on_one_machine


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
        self.frame, self.labels = frame, dict(labels)
        # Tables ask for thousands of cells: each looks through the rows of its own metric and band alone.
        self._parts = {
            tuple(map(str, key)): part for key, part in frame.groupby(["metric", "band"], sort=False)
        }

    @classmethod
    def read(cls, path: Path, labels: Mapping[str, str], also: Sequence[Path] = ()) -> "ExperimentRows":
        """Read a detailed ledger; raises DataError if it is not there, none, or cut off. labels: method → what is shown.

        also: ledgers that are read with it where they are there, such as `paper_cost.csv`. Of a data set and budget only the
        times of one machine are kept.
        """
        if not path.is_file():
            raise DataError(f"{path}: missing; record the runs of an experiment first")
        frames = []
        for file in [path, *(other for other in also if other.is_file())]:
            frame = pd.read_csv(file, dtype={"k": "Int64", "band": "str", "method": "str", "value": "str"})
            if list(frame.columns) != COLUMNS:
                raise DataError(f"{file}: columns {', '.join(frame.columns)}; allowed: {', '.join(COLUMNS)}")
            for _ in whole_lines(file):  # pandas would fill up a row that was cut off
                pass
            frames.append(frame)
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
        frame = self._parts.get((metric, band), self.frame[:0])
        if k is not None:
            frame = frame[frame["k"] == k]
        if axes is not None:
            frame = frame[frame["axes"] == ",".join(axes)]
        for column, value in wanted.items():
            allowed = [value] if isinstance(value, str) else list(value)
            frame = frame[frame[column].isin(allowed)]
        return frame


def parse_point(method: str) -> tuple[str, dict[str, str]]:
    """Return a method's base and its swept values: the way back of `plan.point_name`."""
    base, _, swept = method.partition("@")
    return base, dict(part.split("=", 1) for part in swept.split(",")) if swept else {}
