"""Times of several machines never stand in one column."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from xmcbench.reporting.one_machine import TIMES, timed_on_one_machine


def rows(*its: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(its, columns=["dataset", "metric", "hardware"]).assign(value=1.0)


def test_the_machine_that_timed_most_is_kept_and_accuracy_of_all() -> None:
    given_rows = rows(
        ("a", "epoch_seconds", "slow"),
        ("a", "epoch_seconds", "fast"),
        ("a", "train_seconds", "fast"),
        ("a", "P", "slow"),
        ("b", "epoch_seconds", "slow"),
    )
    kept = timed_on_one_machine(given_rows)  # two each: the first by name
    assert list(kept.index) == [1, 2, 3]
    kept = timed_on_one_machine(given_rows, ["dataset"])
    assert list(kept.index) == [1, 2, 3, 4]
    assert len(timed_on_one_machine(given_rows[3:4])) == 1


ROW = st.tuples(st.sampled_from("ab"), st.sampled_from([*TIMES, "P"]), st.sampled_from("xyz"))


@given(st.lists(ROW, min_size=1))
def test_each_data_set_keeps_times_of_one_machine_and_everything_else(
    its: list[tuple[str, str, str]],
) -> None:
    before = rows(*its)
    after = timed_on_one_machine(before, ["dataset"])
    times = before["metric"].isin(TIMES)
    assert set(before.index[~times]) <= set(after.index)
    left = after[after["metric"].isin(TIMES)].groupby("dataset")["hardware"].nunique()
    assert (left == 1).all() and set(left.index) == set(before[times]["dataset"])
