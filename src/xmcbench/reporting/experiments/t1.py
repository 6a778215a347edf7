"""Table 1: the data sets, from their declarations; what was prepared from their files must have these counts."""

from collections.abc import Sequence

import pandas as pd

from xmcbench.data.dataset import DatasetSpec
from xmcbench.plan import Project
from xmcbench.reporting.dataset_table import QUANTITIES, quantity_text

TITLE = "Table 1: data sets"
CAPTION = (
    "Documents and labels of the whole sets as declared and, where the files are at hand, enforced; labels a training document "
    "and training documents a label as counted, or as published (with the source)."
)
HEADINGS = {key: text for key, text in QUANTITIES.items() if key != "documents_per_label_with_test"}


def table_of_recipes(
    project: Project, grids: Sequence[str] = ("paper", "t2_methods")
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): a row a data set of the grids."""
    names = list(dict.fromkeys(run.dataset for grid in grids for run in project.runs(grid)))
    raw_rows, text_rows = [], []
    for name in names:
        spec = project.datasets[name]
        numbers, source = statistics_of(spec)
        raw_rows.append({"dataset": name, **numbers, "source": source})
        text = {heading: quantity_text(key, numbers[key]) for key, heading in HEADINGS.items()}
        text_rows.append({"Data set": spec.label, **text, "Source of the means": source})
    return pd.DataFrame(raw_rows, dtype=object), pd.DataFrame(text_rows)


def statistics_of(spec: DatasetSpec) -> tuple[dict[str, float | None], str]:
    """Return a data set's statistics by name, None where nothing is declared, and where the means are from."""
    counts = spec.counts["full"]
    numbers: dict[str, float | None] = {
        "documents_train": counts.documents_train,
        "documents_test": counts.documents_test,
        "labels": counts.labels,
    }
    if counts.pairs_train and counts.documents_train and counts.labels:
        numbers["labels_per_document"] = counts.pairs_train / counts.documents_train
        numbers["documents_per_label"] = counts.pairs_train / counts.labels
        return numbers, "counted"
    published = spec.published
    numbers["labels_per_document"] = published.labels_per_document
    numbers["documents_per_label"] = published.documents_per_label
    return numbers, published.source or ""
