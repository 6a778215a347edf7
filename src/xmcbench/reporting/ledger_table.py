"""Tables of ledgers as documents show them, between markers."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from xmcbench.reporting.ledger import TIMES, read_ledger
from xmcbench.reporting.number_format import mean_sd
from xmcbench.reporting.one_machine import timed_on_one_machine
from xmcbench.reporting.tables import markdown
from xmcbench.reporting.trials import best_trials, kept_trials, trial_scores

#: `<!-- ledger:NAME -->` or `<!-- ledger:NAME BUDGET -->` … `<!-- ledger:end -->`; NAME is a file of results/reference/,
#: `tuning` one of trials.
BLOCK = re.compile(r"(<!-- ledger:(\w+)(?: (\w+))? -->\n).*?(<!-- ledger:end -->)", re.DOTALL)
SHOWN = [("P", 1), ("P", 3), ("P", 5), ("PSP", 1), ("PSP", 5)]


def with_ledgers(text: str, reference: Path, twins: Mapping[str, str]) -> str:
    """Return a text with the current table between each pair of markers.

    twins: method → the other with which it shares its search.
    """
    return BLOCK.sub(
        lambda found: f"{found[1]}{_table(found[2], found[3], reference, twins)}{found[4]}", text
    )


def _table(name: str, budget: str | None, reference: Path, twins: Mapping[str, str]) -> str:
    rows = [
        row
        for row in read_ledger(reference / f"{name}.csv")
        # Of whole runs and all documents, where the ledger has more.
        if budget in (None, row["budget"]) and not row.get("band") and not row.get("epoch")
    ]
    if not rows:
        return "Nothing was recorded yet.\n"
    frame = pd.DataFrame(rows)
    frame["written"] = frame["value"]  # a drawn value may be a word
    frame["value"] = pd.to_numeric(frame["value"], errors="coerce")
    hardware = ", ".join(sorted(frame["hardware"].unique()))
    if name == "tuning":
        shown, timed = _trials(frame, rows, twins), ""
    else:
        frame = timed_on_one_machine(frame)
        timer = ", ".join(frame[frame["metric"].isin(TIMES)]["hardware"].unique())
        shown, timed = _runs(frame), f", seconds on {timer} alone" if timer not in ("", hardware) else ""
    return (
        f"{markdown(shown)}\nFrom results/reference/{name}.csv; on {hardware}{timed}; accuracy in percent.\n"
    )


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    table = []
    where = ["dataset", "budget"]
    several = len(frame[where].drop_duplicates()) > 1
    for (dataset, budget, method), its in frame.groupby([*where, "method"], sort=True):
        declared = its[its["metric"] == "memory_classifier"]["value"] / 2**20
        seconds = its[its["metric"] == "epoch_seconds"]["value"]
        measured = its[its["metric"].str.startswith("measured_")].groupby("seed")["value"].sum() / 2**20
        resources = {
            "Declared (MiB)": mean_sd(declared[:1], lambda v: f"{v:.1f}"),
            "Measured, output layer (MiB)": mean_sd(measured[:1], lambda v: f"{v:.1f}"),
            "Epoch (s)": mean_sd(seconds, lambda v: f"{v:.1f}"),
        }
        device = its[its["metric"] == "peak_device"]["value"] / 2**20
        if len(device):
            resources["Peak, GPU (MiB)"] = mean_sd(device, lambda v: f"{v:.0f}")
        data = {"Data": f"{dataset}, {budget}"} if several else {}
        runs = {**data, "Run": str(method), "Seeds": str(its["seed"].nunique())}
        table.append({**runs, **_accuracy(its), **resources})
    return pd.DataFrame(table)


def _trials(frame: pd.DataFrame, rows: list[dict[str, object]], twins: Mapping[str, str]) -> pd.DataFrame:
    """Best trial of each method beside the method as it stood, on validation documents, and which of them it is to be."""
    scores = trial_scores(rows, twins)
    table, kept = [], kept_trials(scores)
    for method, best in best_trials(scores).items():
        found = len(scores[method])
        first = f"{method}@trial=0"
        names = {first: "as it stood", best: f"best of {found}"}
        if first == best:
            names = {first: f"as it stood, best of {found}"}
        for trial, name in names.items():
            its = frame[frame["method"] == trial]
            drawn = its[its["metric"].str.startswith("recipe:")]
            keys = ", ".join(
                f"{str(k).removeprefix('recipe:').split('.', 1)[-1]} {v}"
                for k, v in zip(drawn["metric"], drawn["written"], strict=True)
            )
            owner, _, number = trial.partition("@trial=")
            number = number if owner == method else f"{number} of {owner}"
            mark = {"Kept": "yes" if kept.get(method) == trial else ""}
            place = {"Method": method, "Trial": f"{name} ({number})"}
            table.append({**place, **mark, **_accuracy(its), "Drawn": keys})
    return pd.DataFrame(table)


def _accuracy(its: pd.DataFrame) -> dict[str, str]:
    return {
        f"{metric}@{k}": mean_sd(
            its[(its["metric"] == metric) & (its["k"] == str(k))]["value"], lambda v: f"{v:.2f}"
        )
        for metric, k in SHOWN
    }
