"""Figure 2: the gradient that reaches the encoder."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._panels import cells_in, method_curves, panels

TITLE = "Figure 2: gradient that reaches the encoder"
CAPTION = "2-norm of the encoder's gradient over training (log scale; means over half epochs), one panel a data set."
METHODS = ["dense", "dense_aux", "fixed_fan_in_set", "fixed_fan_in_set_intermediate", "fixed_fan_in_set_aux"]


def draw(rows: ExperimentRows) -> Figure:
    """Draw one panel a data set and budget that has dense and fixed fan-in."""
    curves = rows.curve("encoder_gradient_norm", base=METHODS)
    where = [
        (d, b)
        for d, b in cells_in(curves)
        if set(METHODS) <= set(curves[(curves["dataset"] == d) & (curves["budget"] == b)]["base"])
    ]
    figure, axes = panels([f"{d}, {b}" for d, b in where])
    for panel, (dataset, budget) in zip(axes, where, strict=True):
        its = curves[(curves["dataset"] == dataset) & (curves["budget"] == budget)]
        panel.set_yscale("log")
        style.plain_log(panel.yaxis)
        method_curves(panel, its, METHODS, "encoder gradient norm")
    return figure
