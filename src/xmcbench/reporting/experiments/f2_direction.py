"""Beside figure 2: the direction of the gradient that reaches the encoder."""

from matplotlib.figure import Figure

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._panels import cells_in, method_curves, panels

TITLE = "Beside figure 2: direction of the encoder's gradient"
CAPTION = (
    "Cosine between the encoder's gradient and the one that a dense layer would give it, which learns beside the run's own layer "
    "from the same features and is unseen by the encoder (means over half epochs). The line of dense is what two dense layers "
    "from different starts reach: no sparse layer can be asked for more."
)


def draw(rows: ExperimentRows) -> Figure:
    """Draw one panel a data set and budget."""
    curves = rows.curve("probe_cosine", axes=["probe"])
    where = cells_in(curves)
    figure, axes = panels([f"{d}, {b}" for d, b in where], share_y=True)
    for panel, (dataset, budget) in zip(axes, where, strict=True):
        its = curves[(curves["dataset"] == dataset) & (curves["budget"] == budget)]
        method_curves(panel, its, its["base"].unique(), "cosine with a dense layer's gradient")
    return figure
