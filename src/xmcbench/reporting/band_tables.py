"""Tables of accuracy by label frequency and by ruler, and of what each band holds."""

import pandas as pd

from xmcbench.evaluation.bands import ALL, BANDS
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.number_format import mean, mean_sd, percent

#: (metric, k) shown for all labels and for every band, and those shown for all labels alone.
BY_BAND = [("P", 1), ("P", 5), ("PSP", 5), ("R", 5), ("macro-F1", 5)]
OVER_ALL = [("PSnDCG", 5), ("macro-P", 5), ("macro-R", 5), ("coverage", 5)]
COUNTS = {"labels": "Labels", "scored_documents": "Test documents", "true_pairs": "True pairs"}


def tail_table(collected: Collected) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): methods × rulers, accuracy over all labels and by band; mean ± sd (n) of several seeds."""
    finished = collected.run[collected.run["status"] == "ok"]
    cells = _cells(finished)
    raw_rows, text_rows = [], []
    for dataset, budget, ruler in cells.itertuples(index=False):
        for method in collected.methods["method"]:
            its = finished[_is(finished, dataset=dataset, budget=budget, method=method)]
            scored = its[(its["ruler"] == ruler) & its["k"].notna()]
            if scored.empty:
                continue
            raw = {"dataset": dataset, "budget": budget, "ruler": ruler, "method": method}
            text = {"Method": collected.label(method), **_shown(cells, dataset, budget, ruler)}
            for heading, metric, k, band in _columns():
                values = scored[_is(scored, metric=metric, k=k, band=band)]["value"].astype(float)
                raw[heading], text[heading] = mean(values), mean_sd(values, percent)
            raw_rows.append(raw)
            text_rows.append(text)
    return pd.DataFrame(raw_rows), pd.DataFrame(text_rows)


def bands_table(collected: Collected) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): labels, scored test documents and true pairs of every band: what its values rest on."""
    finished = collected.run[collected.run["status"] == "ok"]
    cells = _cells(finished)
    raw_rows, text_rows = [], []
    for dataset, budget, ruler in cells.itertuples(index=False):
        its = finished[_is(finished, dataset=dataset, budget=budget, ruler=ruler)]
        for band in (ALL, *BANDS):
            # The same for every run of a data set and budget.
            counts = its[(its["band"] == band) & its["metric"].isin(COUNTS)].drop_duplicates("metric")
            if counts.empty:
                continue
            value = {str(m): int(v) for m, v in zip(counts["metric"], counts["value"], strict=True)}
            raw_rows.append({"dataset": dataset, "budget": budget, "ruler": ruler, "band": band, **value})
            text_rows.append(
                {
                    "Band": band,
                    **_shown(cells, dataset, budget, ruler),
                    **{heading: f"{value[m]:,}" for m, heading in COUNTS.items() if m in value},
                }
            )
    return pd.DataFrame(raw_rows), pd.DataFrame(text_rows)


def _columns() -> list[tuple[str, str, int, str]]:
    """Return (heading, metric, k, band) of every column of the tail table."""
    columns = []
    for metric, k in BY_BAND:
        columns += [(f"{metric}@{k}", metric, k, ALL)]
        columns += [(f"{metric}@{k}, {band}", metric, k, band) for band in BANDS]
    return columns + [(f"{metric}@{k}", metric, k, ALL) for metric, k in OVER_ALL]


def _cells(finished: pd.DataFrame) -> pd.DataFrame:
    scored = finished[finished["k"].notna()]
    keys = ["dataset", "budget", "ruler"]
    return scored[keys].drop_duplicates().sort_values(keys, kind="stable")


def _shown(cells: pd.DataFrame, dataset: object, budget: object, ruler: object) -> dict[str, str]:
    """Return the keys of a row that tell it from others: those with more than one value."""
    values = {"Data set": ("dataset", dataset), "Budget": ("budget", budget), "Ruler": ("ruler", ruler)}
    return {heading: str(v) for heading, (column, v) in values.items() if cells[column].nunique() > 1}


def _is(frame: pd.DataFrame, **values: object) -> "pd.Series[bool]":
    wanted = pd.Series(True, index=frame.index)
    for column, value in values.items():
        wanted &= (frame[column] == value).fillna(False).astype(bool)
    return wanted
