"""Figures, one a module: `CAPTION` says what is shown, `draw` draws it from the collected CSV."""

from importlib import import_module
from pathlib import Path

from xmcbench.reporting import style
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.outputs import FIGURES


def draw_all(source: str, results: Path) -> None:
    """Draw every figure of a source into results/figures/{source}/."""
    collected = Collected(source, results / "collected")
    for name in FIGURES:
        figure = import_module(f"xmcbench.reporting.figures.{name}").draw(collected)
        style.save(figure, results / "figures" / source, name)


def caption(name: str) -> str:
    """Return a figure's caption."""
    text: str = import_module(f"xmcbench.reporting.figures.{name}").CAPTION
    return text
