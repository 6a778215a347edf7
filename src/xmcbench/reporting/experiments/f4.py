"""Figure 4: steps between two rewires."""

from matplotlib.figure import Figure

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._methods import COLOUR
from xmcbench.reporting.experiments._panels import cells_in, log_ticks, panels, with_errors

TITLE = "Figure 4: rewire interval"
CAPTION = (
    "Test P@1 and PSP@1 against the steps between two rewires, each of which replaces the same share of a label's connections "
    "(log scale)."
)


def draw(rows: ExperimentRows) -> Figure:
    """Draw P@1 and PSP@1, of each data set and budget."""
    axes_swept = ["fraction", "interval"]
    found = rows.final("P", 1, axes=axes_swept)
    where = cells_in(found)
    parts = [(d, b, metric) for d, b in where for metric in ("P", "PSP")]
    figure, axes = panels([f"{d}, {b}" for d, b, _ in parts], columns=2)
    for panel, (dataset, budget, metric) in zip(axes, parts, strict=True):
        its = rows.final(metric, 1, axes=axes_swept, dataset=dataset, budget=budget, split="test").copy()
        its["interval"] = its["@interval"].astype(float)
        shade = COLOUR["fixed_fan_in_set"]
        with_errors(panel, its, "interval", shade, "o")
        log_ticks(panel, sorted(its["interval"].unique()))
        panel.set_xlabel("steps between rewires (log scale)")
        panel.set_ylabel(f"test {metric}@1 (%)")
    return figure
