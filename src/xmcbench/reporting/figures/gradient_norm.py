"""The gradient that reaches the encoder (paper, Fig. 2)."""

from matplotlib.figure import Figure

from xmcbench.reporting.collected import Collected
from xmcbench.reporting.figures._curves import draw_curves

CAPTION = (
    "2-norm of the encoder's gradient over training steps (log scale; thin: as logged, thick: running mean of nine). The "
    "paper's explanation for the weak results of plain sparse output layers is a small gradient early in training."
)


def draw(collected: Collected) -> Figure:
    """Draw the encoder's gradient norm against steps."""
    labels = ("training step", "encoder gradient norm")
    return draw_curves(collected, "encoder_gradient_norm", None, "step", labels, log=True, window=9)
