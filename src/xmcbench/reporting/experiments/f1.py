"""Figure 1, right: precision by sparsity, with and without the auxiliary objective."""

from matplotlib.figure import Figure

from xmcbench.reporting import style
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR, MARKER
from xmcbench.reporting.experiments._panels import cells_in, panels, with_errors

TITLE = "Figure 1, right: precision by sparsity"
CAPTION = (
    "Test P@1 against the sparsity of the output layer, 1 − K/D, with and without the auxiliary objective; the broken lines "
    "are the dense layer's. Bars: one standard deviation over seeds, where there are several."
)
METHODS = {"fixed_fan_in_set": "fixed fan-in", "fixed_fan_in_set_aux": "with auxiliary"}
DENSE = {"dense": "dense", "dense_aux": "dense, with auxiliary"}


def draw(rows: ExperimentRows) -> Figure:
    """Draw one panel a data set and budget."""
    swept = rows.final("P", 1, axes=["fan_in"], base=list(METHODS), split="test")
    sparsity = rows.final("sparsity", axes=["fan_in"], base=list(METHODS))
    key = ["dataset", "budget", "method", "seed"]
    swept = swept.merge(sparsity[[*key, "value"]], on=key, suffixes=("", "_x"))
    swept["sparsity"] = 100 * swept["value_x"].astype(float)
    where = cells_in(swept)
    figure, axes = panels([f"{d}, {b}" for d, b in where])
    for panel, (dataset, budget) in zip(axes, where, strict=True):
        its = swept[(swept["dataset"] == dataset) & (swept["budget"] == budget)]
        ends = []
        for base, label in METHODS.items():
            found = its[its["base"] == base]
            if len(found):
                x, y = with_errors(panel, found, "sparsity", COLOUR[base], MARKER[base])
                ends.append((x, y, label, COLOUR[base]))
        for base, label in DENSE.items():
            dense = rows.final("P", 1, base=base, dataset=dataset, budget=budget, split="test")["value"]
            if len(dense):
                panel.axhline(float(dense.mean()), color=COLOUR[base], linestyle="--", linewidth=1.2)
                ends.append((float(its["sparsity"].max()), float(dense.mean()), label, COLOUR[base]))
        panel.set_xlabel("sparsity of the output layer (%)")
        panel.set_ylabel("test P@1 (%)")
        figure.canvas.draw()
        style.end_labels(panel, ends)
    return figure
