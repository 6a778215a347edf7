"""Columns of words stand left, of numbers right, in every form of a table."""

import pandas as pd

from xmcbench.reporting.alignment import of_words
from xmcbench.reporting.tables import latex, markdown

TABLE = pd.DataFrame(
    {
        "Data": ["114", "33"],  # the first column names the row
        "Method": ["Dense", "Fixed fan-in SET"],
        "P@1": ["51.4 ± 0.2 (3)", ""],
        "Gain": ["+0.5", "−0.1"],
        "Value (95 %)": ["(0.1 … 0.2)", "≥ 1"],
        "Loss": ["", "mean"],
        "Mixed": ["not recovered", "47.1"],
        "Empty": ["", "—"],
    }
)
WORDS = [True, True, False, False, False, True, False, False]


def test_words_are_told_from_numbers_by_their_cells() -> None:
    assert of_words(TABLE) == WORDS
    assert of_words(pd.DataFrame({"a": [1.5], "b": [2]})) == [True, False]


def test_markdown_and_latex_align_them() -> None:
    assert markdown(TABLE).splitlines()[1] == "|---|---|---:|---:|---:|---|---:|---:|"
    assert r"\begin{tabular}{llrrrlrr}" in latex(TABLE)
