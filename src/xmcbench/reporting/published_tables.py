"""Printed numbers as tables: alone, and beside ours with the difference and a verdict."""

from pathlib import Path

import pandas as pd

from xmcbench.atomic import write_text
from xmcbench.reporting.collect import csv_text
from xmcbench.reporting.number_format import mean_sd
from xmcbench.reporting.published import datasets_of, read_published
from xmcbench.reporting.tables import latex, markdown, rows_of_frame

SHOWN = [("P", k) for k in (1, 3, 5)] + [("PSP", k) for k in (1, 3, 5)]
HEADINGS = {"peak_memory": "Peak memory (GiB)", "epoch_seconds": "Epoch (s)"}
#: Printed metric → ours, and what ours is multiplied with.
OURS = {"P": ("P", 1.0), "PSP": ("PSP", 1.0), "peak_memory": ("peak_device", 2**-30)}
WITHIN, ABOVE, BELOW, NOT_RUN, NOT_RECOVERED = (
    "within tolerance",
    "above",
    "below",
    "not run",
    "not recovered",
)


def write_published(folder: Path, ours: pd.DataFrame, out: Path) -> None:
    """Write {dataset}.{csv,md,tex} of printed numbers, and beside.{csv,md,tex}; folder: results/published."""
    published = read_published(folder)
    tables = {dataset: printed(published, dataset) for dataset in datasets_of(folder)}
    tables["beside"] = beside(published, ours)
    for name, table in tables.items():
        write_text(out / f"{name}.csv", csv_text(list(table.columns), rows_of_frame(table)))
        write_text(out / f"{name}.md", markdown(table))
        write_text(out / f"{name}.tex", latex(table))


def printed(published: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return a data set's printed numbers: a row a method and paper. "?": unverified; "–": nothing is printed."""
    its = published[published["dataset"] == dataset]
    rows = []
    for (paper, method), found in its.groupby(["paper", "method"], sort=False):
        row = {"Method": str(method), "Paper": str(paper)}
        for metric, k in SHOWN:
            row[f"{metric}@{k}"] = _cell(found[(found["metric"] == metric) & (found["k"] == k)])
        for metric, heading in HEADINGS.items():
            row[heading] = _cell(found[found["metric"] == metric])
        if any(v != "–" for v in list(row.values())[2:]):
            rows.append(row)
    return pd.DataFrame(rows)


def with_cost(runs: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """Return rows of runs with the peaks of `paper_cost`, but for methods of which a run tells its own."""
    told = runs[runs["metric"] == "peak_device"]
    known = set(zip(told["dataset"], told["method"], strict=True))
    peaks = cost[cost["metric"] == "peak_device"]
    new = [pair not in known for pair in zip(peaks["dataset"], peaks["method"], strict=True)]
    return pd.concat([runs, peaks[new][list(runs.columns)]], ignore_index=True)


def beside(published: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Return published | ours mean ± sd (n) | difference | tolerance | verdict of every number that has a method of ours.

    ours: dataset, method, seed, budget, metric, k, value; only the paper's own budgets count.
    """
    counted = ours[ours["budget"].astype(str).str.startswith("paper")]
    rows = []
    for number in published[(published["ours"] != "") & published["metric"].isin(OURS)].to_dict("records"):
        metric, scale = OURS[str(number["metric"])]
        found = counted[(counted["dataset"] == number["dataset"]) & (counted["method"] == number["ours"])]
        found = found[found["metric"] == metric]
        if not pd.isna(number["k"]):
            found = found[found["k"] == number["k"]]
        values = pd.Series([float(v) * scale for v in found["value"]], dtype="float64")
        difference = float(values.mean()) - number["value"] if len(values) else None
        rows.append(
            {
                "Data": number["dataset"],
                "Method": f"{number['method']} = {number['ours']}",
                "Metric": number["metric"] + ("" if pd.isna(number["k"]) else f"@{number['k']}"),
                "Published": _cell(pd.DataFrame([number])),
                "Ours": mean_sd(values, lambda v: f"{v:.2f}"),
                "Difference": "" if difference is None or pd.isna(difference) else f"{difference:+.2f}",
                "Tolerance": "" if pd.isna(number["tolerance"]) else f"{number['tolerance']:g}",
                "Verdict": verdict(number["value"], difference, number["tolerance"]),
            }
        )
    return pd.DataFrame(rows)


def verdict(value: float, difference: float | None, tolerance: float) -> str:
    """Return what a difference (ours less published) says."""
    if pd.isna(value):
        return NOT_RECOVERED
    if difference is None:
        return NOT_RUN
    if abs(difference) <= tolerance:
        return WITHIN
    return ABOVE if difference > 0 else BELOW


def _cell(found: pd.DataFrame) -> str:
    if found.empty:
        return "–"
    row = found.iloc[0]
    if row["certainty"] == NOT_RECOVERED:
        return NOT_RECOVERED
    value = float(row["value"])
    text = f"{value:,.0f}" if row["metric"] == "epoch_seconds" else f"{value:.2f}".rstrip("0").rstrip(".")
    return text + (" ?" if row["certainty"] == "unverified" else "")
