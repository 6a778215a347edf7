"""Rows of a table: one a run (mean over its seeds), the columns that experiments share, and differences between runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xmcbench.evaluation.bands import ALL
from xmcbench.planned_run import COST_BUDGET
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.number_format import Format, mean, mean_sd, percent

MIB = 2**20
Table = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class Column:
    """A column: which metric at the end of training, and how it is shown."""

    heading: str
    metric: str
    k: int | None = None
    scale: float = 1.0
    form: Format = percent
    band: str = ALL
    #: Left out where no row has its metric: what only a GPU measures.
    optional: bool = False


@dataclass(frozen=True)
class Place:
    """Where a run stands: data set, budget, method with its swept values."""

    dataset: str
    budget: str
    method: str


def _mib(value: float) -> str:
    return f"{value:,.1f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:.2f}"


PRECISION = [Column(f"P@{k}", "P", k) for k in (1, 3, 5)]
PROPENSITY = [Column(f"PSP@{k}", "PSP", k) for k in (1, 3, 5)]
MACRO = [Column(f"macro-P@{k}", "macro-P", k) for k in (1, 3, 5)]
MEMORY = Column("Classifier (MiB)", "memory_classifier", None, 1 / MIB, _mib)
PEAK = Column("Process (MiB)", "peak_rss", None, 1 / MIB, _count)
PEAK_DEVICE = Column("GPU (MiB)", "peak_device", None, 1 / MIB, _count, optional=True)
EPOCH = Column("Epoch (s)", "epoch_seconds", None, 1.0, _seconds)
INFERENCE = Column("Test documents (1/s)", "predict_documents_per_second", None, 1.0, _count)


def values(rows: ExperimentRows, place: Place, column: Column) -> pd.Series:
    """Return a run's values, by seed."""
    wanted = {"dataset": place.dataset, "budget": place.budget, "method": place.method}
    found = rows.final(column.metric, column.k, band=column.band, axes=None, **wanted)
    found = found[found["split"] != "validation"]
    return found.set_index("seed")["value"] * column.scale


def value(rows: ExperimentRows, place: Place, column: Column) -> float | None:
    """Return the mean over a run's seeds, None without any."""
    return mean(values(rows, place, column))


def table(
    rows: ExperimentRows,
    lines: Sequence[tuple[Mapping[str, str], Place]],
    columns: Sequence[Column],
    extra: Mapping[str, Callable[[Place], float | None]] | None = None,
    signed: bool = True,
) -> Table:
    """Return (numbers, text) of lines: what is written first, and the run that it shows.

    extra: columns computed from a place, shown with their sign. A run that was not made has its line, with "not run".
    """
    budgets = {place.budget for _, place in lines}
    measured = set(rows.frame[rows.frame["budget"].isin(budgets)]["metric"])
    columns = [c for c in columns if not c.optional or c.metric in measured]
    raw_rows, text_rows = [], []
    for head, place in lines:
        found = {c.heading: values(rows, place, c) for c in columns}
        seeds = max((len(v) for v in found.values()), default=0)
        raw: dict[str, object] = {**place.__dict__, **head, "seeds": seeds}
        text = dict(head)
        for column in columns:
            numbers = found[column.heading]
            raw[column.heading], text[column.heading] = mean(numbers), mean_sd(numbers, column.form)
        for heading, function in (extra or {}).items():
            number = function(place) if seeds else None
            raw[heading] = number
            text[heading] = "" if number is None else f"{number:{'+' if signed else ''}.1f}"
        if not seeds and columns:
            text[columns[0].heading] = "not run"
        raw_rows.append(raw)
        text_rows.append(text)
    return pd.DataFrame(raw_rows), pd.DataFrame(text_rows).fillna("")


def difference(
    rows: ExperimentRows, column: Column, other: Callable[[Place], Place]
) -> Callable[[Place], float | None]:
    """Return the function place → its value less that of another run, the mean over seeds that both have; None if they share none."""

    def less(place: Place) -> float | None:
        return mean((values(rows, place, column) - values(rows, other(place), column)).dropna())

    return less


def places(rows: ExperimentRows, axes: Sequence[str] = ()) -> list[Place]:
    """Return the runs that swept exactly these axes, in the order of the rows."""
    frame = rows.frame[rows.frame["axes"] == ",".join(axes)]
    found = frame[["dataset", "budget", "method"]].drop_duplicates()
    return [Place(*map(str, place)) for place in found.itertuples(index=False)]


def cells(rows: ExperimentRows, methods: Sequence[str]) -> list[tuple[str, str]]:
    """Return (dataset, budget) of every cell that has runs of one of the methods (with swept values), main budgets first."""
    frame = rows.frame[rows.frame["method"].isin(methods) & (rows.frame["budget"] != COST_BUDGET)]
    found = frame[["dataset", "budget"]].drop_duplicates()
    return [(str(d), str(b)) for d, b in found.itertuples(index=False)]


def on(place: Place, method: str) -> Place:
    """Return another method's place on the same data set and budget."""
    return Place(place.dataset, place.budget, method)
