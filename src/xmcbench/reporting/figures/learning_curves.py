"""Learning curves on validation documents."""

from matplotlib.figure import Figure

from xmcbench.reporting.collected import Collected
from xmcbench.reporting.figures._curves import draw_curves

CAPTION = (
    "Precision at 1 on the validation documents after every epoch. All methods take the same number of steps; the test "
    "documents are not read before training has ended."
)


def draw(collected: Collected) -> Figure:
    """Draw validation P@1 against epochs."""
    return draw_curves(collected, "P", 1, "epoch", ("epoch", "validation P@1 (%)"))
