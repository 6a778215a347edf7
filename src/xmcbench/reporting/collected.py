"""The collected CSV of one source, read back, each when it is first asked for."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from xmcbench.errors import DataError
from xmcbench.evaluation.bands import ALL


class Collected:
    """Data frames of {folder}/{source}*.csv."""

    def __init__(self, source: str, folder: Path) -> None:
        self.source, self.folder = source, folder

    @cached_property
    def run(self) -> pd.DataFrame:
        """Tidy rows of every run: accuracy, memory, time.

        Band and ruler are `all` where a row names none: resources, and files older than the two columns.
        """
        rows = self._read("")
        for column in ("band", "ruler"):
            rows[column] = rows[column].fillna(ALL) if column in rows else ALL
        return rows

    @cached_property
    def history(self) -> pd.DataFrame:
        """Tidy rows over steps and epochs."""
        return self._read("_history")

    @cached_property
    def methods(self) -> pd.DataFrame:
        """Label, group and citation of every method, in display order."""
        return self._read("_methods").sort_values(["order", "method"], kind="stable").reset_index(drop=True)

    @cached_property
    def datasets(self) -> pd.DataFrame:
        """Statistics of every sample."""
        return self._read("_datasets")

    @cached_property
    def environment(self) -> pd.DataFrame:
        """Hardware and versions."""
        return self._read("_environment")

    @cached_property
    def failures(self) -> pd.DataFrame:
        """Runs that failed, and why."""
        return self._read("_failures")

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Sizes and purity of the label groups that runs used."""
        return self._read("_groups")

    def label(self, method: str) -> str:
        """Return the display label of a method."""
        return str(self.methods.loc[self.methods["method"] == method, "label"].iloc[0])

    def values(self, metric: str, k: int | None = None, band: str = ALL, ruler: str = ALL) -> pd.DataFrame:
        """Return the finished rows of one metric, of one band and by one ruler."""
        run = self.run
        rows = run[(run["metric"] == metric) & (run["status"] == "ok")]
        rows = rows[(rows["band"] == band) & (rows["ruler"] == ruler)]
        return rows[rows["k"] == k] if k is not None else rows

    def _read(self, part: str) -> pd.DataFrame:
        path = self.folder / f"{self.source}{part}.csv"
        if not path.is_file():
            raise DataError(f"{path}: missing; collect the runs first")
        return pd.read_csv(path, dtype={"k": "Int64", "band": "str", "ruler": "str"})
