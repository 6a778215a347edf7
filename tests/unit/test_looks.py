"""A method's colour never depends on its company, and its mark tells it from those that share the colour."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xmcbench.plan import Project
from xmcbench.reporting.looks import DASHES, MAIN, colour, dashes, markers


def test_the_methods_that_are_compared_most_have_colours_of_their_own() -> None:
    assert len({colour(method) for method in MAIN}) == len(MAIN) == len(set(MAIN.values()))


@given(st.lists(st.sampled_from([*MAIN, "a", "b", "c", "monarch"]), unique=True))
def test_a_mark_of_a_main_method_is_the_same_in_any_company(methods: list[str]) -> None:
    marks = markers(methods)
    assert set(marks) == set(methods)
    assert all(marks[method] == MAIN[method] for method in methods if method in MAIN)


def test_all_methods_together_can_be_told_apart(project: Project) -> None:
    marks = markers(list(project.methods))
    looks = Counter((colour(method), mark) for method, mark in marks.items())
    assert len(looks) == len(project.methods) > 40


def test_the_default_grid_shares_as_few_colours_as_there_can_be(project: Project) -> None:
    drawn = {run.method for run in project.runs("quick")} - {"most_frequent"}
    assert len(drawn) == 12 and len({colour(method) for method in drawn}) == 10


@given(
    st.lists(
        st.sampled_from([*MAIN, "a", "b", "c", "monarch", "group_fan_in_set", "masked_static"]), unique=True
    )
)
def test_curves_of_one_colour_differ_in_their_dash(methods: list[str]) -> None:
    found = dashes(methods)
    assert set(found) == set(methods)
    assert all(found[method] == "" for method in methods if method in MAIN)
    for shade, sharing in Counter(map(colour, methods)).items():
        drawn = {found[m] for m in methods if colour(m) == shade}
        assert len(drawn) == min(sharing, len(DASHES))
