"""The README's numbers: written between markers from results/reference/, never by hand."""

from pathlib import Path

import pandas as pd

from xmcbench.atomic import write_text
from xmcbench.errors import ConfigError
from xmcbench.reporting.claims.claims_text import outcomes_text, read_claims, value_text, verdicts_text
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.kernel_tables import claimed_table
from xmcbench.reporting.tables import markdown

BEGIN, END = "<!-- numbers:begin -->", "<!-- numbers:end -->"
CLAIMS_BEGIN, CLAIMS_END = "<!-- claims:begin -->", "<!-- claims:end -->"
KERNELS_BEGIN, KERNELS_END = "<!-- kernels:begin -->", "<!-- kernels:end -->"
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
    text = _between(readme, readme.read_text(encoding="utf-8"), BEGIN, END, _numbers(reference))
    if (reference / "kernels.csv").is_file():
        text = _between(readme, text, KERNELS_BEGIN, KERNELS_END, claimed_table(reference))
    if (reference / "claims.csv").is_file():
        text = _between(readme, text, CLAIMS_BEGIN, CLAIMS_END, _claims(reference))
    return text


def _between(readme: Path, text: str, begin: str, end: str, new: str) -> str:
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ConfigError(
            f"{readme}: the markers {begin} and {end} must each stand there once, in this order"
        )
    before, rest = text.split(begin)
    return f"{before}{begin}\n{new}{end}{rest.split(end)[1]}"


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


def _claims(reference: Path) -> str:
    claims, _ = read_claims(reference)
    rows = [
        {
            "Claim": f"{row['id']}: {row['sentence']} ({row['source']})",
            "Verdict": f"**{row['verdict']}**",
            "First test": f"{row['comparison']}, {row['dataset']}" if row["comparison"] else row["why"],
            "Value (95 %)": value_text(row),
            "Threshold": row["threshold"],
            "All tests": outcomes_text(row),
        }
        for row in claims
    ]
    seeds = ", ".join(sorted({str(row["n_seeds"]) for row in claims if row["n_seeds"]}))
    told = f"\n{len(claims)} claims: {verdicts_text(claims)}; seeds: {seeds or 'none'}. Embedded data at the quick budget, except where the test says otherwise.\n"
    return markdown(pd.DataFrame(rows)) + told


def _names(run: pd.DataFrame, column: str) -> str:
    return ", ".join(str(v) for v in sorted(run[column].dropna().unique()))
