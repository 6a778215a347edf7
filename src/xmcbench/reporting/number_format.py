"""Numbers as readers see them, and as CSV keeps them."""

from collections.abc import Callable

import pandas as pd

Format = Callable[[float], str]


def percent(value: float) -> str:
    """Return one decimal."""
    return f"{value:.1f}"


def mean_sd(numbers: "pd.Series[float]", form: Format) -> str:
    """Return the number, `mean ± sd (n)` of several, nothing of none."""
    if numbers.empty:
        return ""
    if len(numbers) == 1:
        return form(float(numbers.iloc[0]))
    return f"{form(float(numbers.mean()))} ± {form(float(numbers.std()))} ({len(numbers)})"


def mean(numbers: "pd.Series[float]") -> float | None:
    """Return the mean, None of none."""
    return float(numbers.mean()) if len(numbers) else None
