"""Which columns of a table are words, to be read from the left, and which are numbers, to be compared from the right."""

import re

import pandas as pd

#: A cell that is a number, with what may stand before one: a sign, a bound, a bracket.
NUMBER = re.compile(r"[-+−±≥≤<>~(\s]*\d")
LETTER = re.compile(r"[^\W\d_]")


def of_words(table: pd.DataFrame) -> list[bool]:
    """Say of each column whether it is words: the first one, and any with words but no number at the head of a cell."""
    return [
        place == 0 or _words([str(v) for v in table.iloc[:, place]]) for place in range(len(table.columns))
    ]


def _words(cells: list[str]) -> bool:
    return any(LETTER.search(cell) for cell in cells) and not any(NUMBER.match(cell) for cell in cells)
