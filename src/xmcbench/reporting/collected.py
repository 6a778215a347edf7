"""The collected CSV of one source, read back."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xmcbench.errors import DataError


@dataclass(frozen=True)
class Collected:
    """Data frames of results/collected/{source}*.csv; `methods` is in display order."""

    run: pd.DataFrame
    history: pd.DataFrame
    methods: pd.DataFrame
    datasets: pd.DataFrame
    environment: pd.DataFrame
    failures: pd.DataFrame

    @classmethod
    def read(cls, source: str, folder: Path) -> "Collected":
        """Read every part; raises DataError naming a file that is missing."""
        frames = {}
        for part in ("", "_history", "_methods", "_datasets", "_environment", "_failures"):
            path = folder / f"{source}{part}.csv"
            if not path.is_file():
                raise DataError(f"{path}: missing; collect the runs first")
            frames[part.removeprefix("_") or "run"] = pd.read_csv(path, dtype={"k": "Int64"})
        frames["methods"] = (
            frames["methods"].sort_values(["order", "method"], kind="stable").reset_index(drop=True)
        )
        return cls(**frames)

    def label(self, method: str) -> str:
        """Return the display label of a method."""
        return str(self.methods.loc[self.methods["method"] == method, "label"].iloc[0])

    def values(self, metric: str, k: int | None = None) -> pd.DataFrame:
        """Return the finished rows of one metric."""
        rows = self.run[(self.run["metric"] == metric) & (self.run["status"] == "ok")]
        return rows[rows["k"] == k] if k is not None else rows
