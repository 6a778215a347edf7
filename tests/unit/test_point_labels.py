"""Names of points stand clear of one another, nearest first; only a crowd's last stay unnamed."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from xmcbench.reporting.point_labels import label_points


def named(points: list[tuple[float, float, str, str]]) -> tuple[Axes, int, dict[str, Bbox]]:
    figure, axes = plt.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.canvas.draw()
    left_out = label_points(axes, points)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = {text.get_text(): Text.get_window_extent(text, renderer) for text in axes.texts}
    plt.close(figure)
    return axes, left_out, boxes


def test_a_crowd_is_named_further_off_and_no_name_covers_another_or_a_point() -> None:
    crowd = [(0.5 + 0.004 * i, 0.5, f"method {i}", "black") for i in range(9)]
    axes, left_out, boxes = named(crowd)
    assert left_out == 0 and set(boxes) == {name for _, _, name, _ in crowd}
    placed = list(boxes.values())
    assert not any(a.overlaps(b) for i, a in enumerate(placed) for b in placed[:i])
    for x, y, _, _ in crowd:
        px, py = axes.transData.transform((x, y))
        assert not any(box.contains(px, py) for box in placed)
    assert axes.get_xlim() == (0, 1), "names move no limits"


def test_where_there_is_no_room_the_last_stay_unnamed() -> None:
    _, left_out, boxes = named([(0.5, 0.5, f"a long name of method {i}", "black") for i in range(60)])
    assert left_out > 0 and len(boxes) == 60 - left_out
    assert {f"a long name of method {i}" for i in range(len(boxes))} == set(boxes), "the first are named"


def test_a_name_stands_clear_of_the_axes_own_lines() -> None:
    """Points to its right drive a name to the left: from some pixel on it has room there, and not at the axis itself."""
    figure, axes = plt.subplots()
    width, height = axes.get_window_extent().width, axes.get_window_extent().height
    plt.close(figure)
    for pixel in range(40, 80):
        right = [
            ((pixel + dx) / width, 0.5 + dy / height, "", "black") for dx in (9, 16) for dy in (-9, 0, 9)
        ]
        axes, _, boxes = named([(pixel / width, 0.5, "a name", "black"), *right])
        assert boxes["a name"].x0 > axes.get_window_extent().x0 + 3, pixel
