"""The colour and the mark of a method, the same in every figure, whatever else is drawn beside it; the dash of its curve."""

from collections import Counter
from collections.abc import Sequence
from zlib import crc32

from xmcbench.reporting.style import COLOURS, MARKERS

Dash = str | tuple[float, tuple[float, ...]]

#: The methods that are compared most (tables 2 and 4, in their order), each with a colour and a mark of its own.
MAIN = {
    "dense": "o",
    "dense_aux": "s",
    "dense_bottleneck": "D",
    "masked_set": "^",
    "masked_rigl": "v",
    "fixed_fan_in_set": "<",
    "fixed_fan_in_rigl": ">",
    "fixed_fan_in_set_intermediate": "P",
    "fixed_fan_in_set_aux": "X",
}
#: Of the hash that colours the others: with this start the default grid's twelve methods share as few colours as ten allow.
START = 2402
#: Of curves that share a colour: the first is drawn through, the others' labels say how they are told apart from it.
DASHES: dict[str, Dash] = {
    "": "-",
    "dashed": (0, (4, 1.5)),
    "dotted": (0, (1.2, 1.2)),
    "dash-dotted": (0, (6, 1.5, 1.2, 1.5)),
}


def colour(method: str) -> str:
    """Return a method's colour; of those beyond `MAIN` its name decides, so that some share one."""
    place = list(MAIN).index(method) if method in MAIN else crc32(method.encode(), START)
    return COLOURS[place % len(COLOURS)]


def markers(methods: Sequence[str]) -> dict[str, str]:
    """Return the marks of methods that are drawn together: no two have both colour and mark in common while marks last."""
    marks = {method: MAIN[method] for method in methods if method in MAIN}
    taken = {(colour(method), mark) for method, mark in marks.items()}
    for method in methods:
        if method not in MAIN:
            first = crc32(method.encode(), START) // len(COLOURS)
            wanted = [MARKERS[(first + step) % len(MARKERS)] for step in range(len(MARKERS))]
            free = [mark for mark in wanted if (colour(method), mark) not in taken]
            marks[method] = (free or wanted)[0]
            taken.add((colour(method), marks[method]))
    return marks


def dashes(methods: Sequence[str]) -> dict[str, str]:
    """Return the names of the dashes of curves in one panel: no two share colour and dash while dashes last; `MAIN` has none."""
    drawn: Counter[str] = Counter()
    found = {}
    for method in sorted(methods, key=lambda m: m not in MAIN):
        shade = colour(method)
        found[method] = list(DASHES)[drawn[shade] % len(DASHES)]
        drawn[shade] += 1
    return found
