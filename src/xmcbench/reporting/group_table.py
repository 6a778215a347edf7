"""The table of label groups: how large they are, and how far they hold the labels of a document together."""

import pandas as pd

from xmcbench.reporting.collected import Collected

COLUMNS = {
    "groups": ("Groups", "{:,.0f}"),
    "labels": ("Labels", "{:,.0f}"),
    "smallest group": ("Smallest", "{:,.0f}"),
    "largest group": ("Largest", "{:,.0f}"),
    "groups per document": ("Groups a document", "{:.2f}"),
    "groups per document, random": ("… at random", "{:.2f}"),
    "share of co-occurring label pairs in one group": ("Pairs of a document in one group (%)", "{:.2f}"),
    "share of co-occurring label pairs in one group, random": ("… by chance (%)", "{:.2f}"),
}


def groups_table(collected: Collected) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): a row for every partition of labels that runs used."""
    frame = collected.groups
    if frame.empty:
        empty = pd.DataFrame(columns=["Grouping"])
        return empty, empty
    raw_rows, text_rows = [], []
    for identity, its in frame.groupby(["dataset", "budget", "grouping"], sort=False):
        value = its.set_index("statistic")["value"]
        raw_rows.append(dict(zip(("dataset", "budget", "grouping"), identity, strict=True)) | value.to_dict())
        text = {"Grouping": ", ".join(str(part) for part in identity)}
        for statistic, (heading, form) in COLUMNS.items():
            number = value.get(statistic)
            scale = 100 if statistic.startswith("share") else 1
            text[heading] = "" if number is None else form.format(scale * float(number))
        text_rows.append(text)
    return pd.DataFrame(raw_rows), pd.DataFrame(text_rows)
