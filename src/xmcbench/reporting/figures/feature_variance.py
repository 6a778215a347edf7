"""Variance of the features over a batch: zero means that all documents look the same."""

from matplotlib.figure import Figure

from xmcbench.reporting.collected import Collected
from xmcbench.reporting.figures._curves import draw_curves

CAPTION = (
    "Variance of the encoder's features over the documents of a batch, mean over features, before dropout (log scale; "
    "thin: as logged, thick: running mean of nine). Near zero the encoder has collapsed: it gives every document the same features."
)


def draw(collected: Collected) -> Figure:
    """Draw feature variance against steps."""
    labels = ("training step", "feature variance")
    return draw_curves(collected, "feature_variance", None, "step", labels, log=True, window=9)
