"""Statistics of whole data sets, ours beside the published ones (the paper's Table 1)."""

from pathlib import Path

import pandas as pd

from xmcbench.errors import DataError
from xmcbench.reporting.collect import WHOLE
from xmcbench.reporting.collected import Collected

#: Where the published figures stand under results/.
PUBLISHED = Path("published") / "datasets.csv"
COLUMNS = ["dataset", "quantity", "value", "source", "certainty"]
QUANTITIES = {
    "documents_train": "Training documents",
    "documents_test": "Test documents",
    "labels": "Labels",
    "labels_per_document": "Labels per training document",
    "documents_per_label": "Training documents per label",
    "documents_per_label_with_test": "Documents per label, train and test",
}
CERTAINTIES = ("confirmed", "reported", "unverified")


def datasets_table(collected: Collected, published_file: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): one row a data set, each quantity as prepared here and as published.

    Names match without regard to case. Only whole prepared data sets count as ours, never a budget's sample; train
    includes validation. Public records count the documents of a label over train or over train and test; which, follows
    from their other figures. A published figure that no public record confirmed is followed by "?".
    """
    ours, published = _ours(collected.datasets), _published(published_file)
    known = {str(name).casefold(): str(name) for name in published["dataset"].drop_duplicates()}
    names = [*known, *(name for name in ours if name.casefold() not in known)]
    raw_rows, text_rows = [], []
    for name in names:
        own = next((values for key, values in ours.items() if key.casefold() == name.casefold()), {})
        its = published[published["dataset"] == known.get(name)].to_dict("records")
        raw: dict[str, object] = {"dataset": known.get(name, name)}
        text = {"Data set": known.get(name, name)}
        for quantity, heading in QUANTITIES.items():
            there = next((row for row in its if row["quantity"] == quantity), None)
            raw[f"{quantity}, ours"] = own.get(quantity)
            raw[f"{quantity}, published"] = None if there is None else _number(float(there["value"]))
            text[f"{heading}, ours"] = quantity_text(quantity, own.get(quantity))
            mark = " ?" if there is not None and there["certainty"] == "unverified" else ""
            value = None if there is None else float(there["value"])
            text[f"{heading}, published"] = quantity_text(quantity, value) + mark
        raw["source"] = text["Source"] = "; ".join(
            dict.fromkeys(part for row in its for part in str(row["source"]).split("; "))
        )
        raw_rows.append(raw)
        text_rows.append(text)
    return pd.DataFrame(raw_rows, dtype=object), pd.DataFrame(text_rows)


def _ours(datasets: pd.DataFrame) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, rows in datasets[datasets["budget"] == WHOLE].groupby("dataset", sort=True):
        value = dict(zip(rows["statistic"], rows["value"].astype(float), strict=True))
        documents = value["documents, train"] + value["documents, validation"]
        pairs = value["pairs, train"] + value["pairs, validation"]
        found[str(name)] = {
            "documents_train": int(documents),
            "documents_test": int(value["documents, test"]),
            "labels": int(value["labels"]),
            "labels_per_document": pairs / max(1.0, documents),
            "documents_per_label": pairs / max(1.0, value["labels"]),
            "documents_per_label_with_test": (pairs + value["pairs, test"]) / max(1.0, value["labels"]),
        }
    return found


def _published(file: Path) -> pd.DataFrame:
    """Read the published figures (none without the file); raises DataError for what the table would not show."""
    if not file.is_file():
        return pd.DataFrame(columns=COLUMNS)
    rows = pd.read_csv(file)
    if list(rows.columns) != COLUMNS:
        raise DataError(f"{file}: columns {', '.join(rows.columns)}; allowed: {', '.join(COLUMNS)}")
    for column, known in (("quantity", tuple(QUANTITIES)), ("certainty", CERTAINTIES)):
        wrong = rows.index[~rows[column].isin(known)]
        if len(wrong):
            value = rows[column][wrong[0]]
            raise DataError(f"{file}, line {wrong[0] + 2}: {column} {value!r}; allowed: {', '.join(known)}")
    twice = rows.index[rows.duplicated(["dataset", "quantity"])]
    if len(twice):
        raise DataError(f"{file}, line {twice[0] + 2}: the data set has this quantity a second time")
    return rows


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def quantity_text(quantity: str, value: float | None) -> str:
    """Return a statistic as it is shown."""
    if value is None:
        return ""
    return f"{value:,.2f}" if "_per_" in quantity else f"{value:,.0f}"
