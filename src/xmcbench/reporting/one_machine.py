"""Seconds are compared on one machine: a ledger grows on several, and of their times only one's can stand in a column."""

from collections.abc import Sequence

import pandas as pd

from xmcbench.reporting.ledger import TIMES


def timed_on_one_machine(rows: pd.DataFrame, within: Sequence[str] = ()) -> pd.DataFrame:
    """Return a ledger's rows without the times of other machines than the one that timed most of them (ties: by name).

    within: columns, such as dataset and budget, for each of whose values a machine is chosen.
    """
    times = rows[rows["metric"].isin(TIMES)]
    if times.empty:
        return rows
    counts = times.groupby([*within, "hardware"]).size().reset_index(name="count")
    counts = counts.sort_values(["count", "hardware"], ascending=[False, True])
    chosen = counts.drop_duplicates(list(within)) if within else counts.head(1)
    keys = [*within, "hardware"]
    wanted = pd.MultiIndex.from_frame(chosen[keys])
    elsewhere = times.index[~pd.MultiIndex.from_frame(times[keys]).isin(wanted)]
    return rows.drop(index=elsewhere)
