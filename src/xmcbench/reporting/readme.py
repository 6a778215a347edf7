"""The README's numbers: written between two markers from results/reference/, never by hand."""

from pathlib import Path

import pandas as pd

from xmcbench.atomic import write_text
from xmcbench.errors import ConfigError
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.tables import markdown

BEGIN, END = "<!-- numbers:begin -->", "<!-- numbers:end -->"
MIB = 2**20
COLUMNS = [
    ("P@1", "P", 1, 1.0, ".1f"),
    ("P@3", "P", 3, 1.0, ".1f"),
    ("P@5", "P", 5, 1.0, ".1f"),
    ("PSP@1", "PSP", 1, 1.0, ".1f"),
    ("PSP@5", "PSP", 5, 1.0, ".1f"),
    ("Classifier memory (MiB)", "memory_classifier", None, 1 / MIB, ".1f"),
    ("Epoch (s)", "epoch_seconds", None, 1.0, ".1f"),
]


def rewrite_readme(readme: Path, reference: Path) -> None:
    """Put the current numbers between the markers; raises ConfigError if they are not there."""
    write_text(readme, _with_numbers(readme, reference))


def readme_is_current(readme: Path, reference: Path) -> bool:
    """Tell whether the README shows what the reference files say."""
    return readme.read_text(encoding="utf-8") == _with_numbers(readme, reference)


def _with_numbers(readme: Path, reference: Path) -> str:
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ConfigError(
            f"{readme}: the markers {BEGIN} and {END} must each stand there once, in this order"
        )
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{_numbers(reference)}{END}{after}"


def _numbers(reference: Path) -> str:
    collected = Collected("run", reference)
    rows = []
    for method in collected.methods["method"]:
        row = {"Method": collected.label(method)}
        for heading, metric, k, scale, form in COLUMNS:
            values = collected.values(metric, k)
            values = values[values["method"] == method]["value"].astype(float) * scale
            row[heading] = format(float(values.mean()), form) if len(values) else ""
        rows.append(row)
    run = collected.run
    told = (
        f"\n{_names(run, 'dataset')}, budget {_names(run, 'budget')}, seed {_names(run, 'seed')}, "
        f"on {_names(run, 'hardware')}; accuracy in percent. One seed: differences of a point may be chance.\n"
    )
    return markdown(pd.DataFrame(rows)) + told


def _names(run: pd.DataFrame, column: str) -> str:
    return ", ".join(str(v) for v in sorted(run[column].dropna().unique()))
