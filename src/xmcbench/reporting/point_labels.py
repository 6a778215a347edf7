"""Names of points: each where it covers neither another name nor another point, with a line to its point where that is further off.

In a crowd the last stay unnamed.
"""

from itertools import chain

from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

#: Where a name may stand: offset in points, and its alignment.
CHOICES = [
    (5, 3, "left", "bottom"),
    (-5, 3, "right", "bottom"),
    (5, -3, "left", "top"),
    (-5, -3, "right", "top"),
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
]
#: Further off, with a line.
FAR = [(factor * dx, factor * dy, across, up) for factor in (3, 5) for dx, dy, across, up in CHOICES]
#: Pixels of a point, or of an axis, in which no name may stand.
POINT = 4


def label_points(axes: Axes, points: list[tuple[float, float, str, str]], fontsize: float = 6.5) -> int:
    """Write (x, y, name, colour) beside the points, the earlier first; return how many have no room.

    Call it when the figure is laid out (after a draw) and the axes' limits are what they will be.
    """
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    limits = axes.get_xlim(), axes.get_ylim()
    taken: list[Bbox] = []
    for x, y, _, _ in points:
        px, py = axes.transData.transform((x, y))
        taken.append(Bbox.from_extents(px - POINT, py - POINT, px + POINT, py + POINT))
    inside = axes.get_window_extent(renderer).padded(-POINT)  # and clear of the axes' own lines
    left_out = 0
    for x, y, name, shade in points:
        for dx, dy, across, up in chain(CHOICES, FAR):
            text = axes.annotate(
                name,
                (x, y),
                textcoords="offset points",
                xytext=(dx, dy),
                ha=across,
                va=up,
                fontsize=fontsize,
                color=shade,
                in_layout=False,
                arrowprops={"arrowstyle": "-", "color": shade, "linewidth": 0.5, "shrinkB": 3},
            )
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # without its line
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if fits and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
        else:
            left_out += 1
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    return left_out
