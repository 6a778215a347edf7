"""Tables and figures of experiments as files; which ones a grid is for, its `shows` say."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from xmcbench.atomic import write_text
from xmcbench.errors import ConfigError, allowed
from xmcbench.plan import Project

FOLDER = Path(__file__).parent / "experiments"
#: Every module of the room is a table or a figure: a new one is a new file.
KNOWN = sorted(m.name for m in pkgutil.iter_modules([str(FOLDER)]) if not m.name.startswith("_"))


def is_figure(name: str) -> bool:
    """Return whether an id is a figure's: they begin with f."""
    return name.startswith("f")


def files_of(shown: list[str]) -> list[str]:
    """Return the file names that ids are written to, without importing what draws them."""
    return [
        f"{name}.{suffix}"
        for name in shown
        for suffix in (("png", "svg", "pdf") if is_figure(name) else ("csv", "md", "tex"))
    ]


def require_known(project: Project) -> None:
    """Raise ConfigError if a grid shows what nothing makes."""
    for grid, file in project.grids.items():
        for name in file.shows:
            if name not in KNOWN:
                raise ConfigError(
                    f"{project.folder / 'grids' / grid}.yaml: key 'shows': unknown value {name!r}; {allowed(KNOWN)}"
                )


def module_of(name: str) -> Any:
    """Return the module of an id, which has TITLE and CAPTION."""
    return import_module(f"xmcbench.reporting.experiments.{name}")


def write_experiments(
    rows_file: Path, grid: str, project: Project, out: Path, also: Sequence[Path] = ()
) -> None:
    """Write every table and figure of a grid into a folder, from detailed ledgers; raises DataError, ConfigError."""
    # The workflow reads the names above at every start: pandas and matplotlib are for those who draw.
    from xmcbench.reporting import style
    from xmcbench.reporting.collect import csv_text
    from xmcbench.reporting.experiment_rows import ExperimentRows
    from xmcbench.reporting.tables import latex, markdown, rows_of_frame

    require_known(project)
    rows = ExperimentRows.read(rows_file, {name: m.label for name, m in project.methods.items()}, also)
    for name in project.shown_by(grid):
        module = module_of(name)
        if is_figure(name):
            style.save(module.draw(rows), out, name)
            continue
        raw, shown = (
            module.table_of_recipes(project)
            if hasattr(module, "table_of_recipes")
            else module.make_table(rows)
        )
        write_text(out / f"{name}.csv", csv_text(list(raw.columns), rows_of_frame(raw)))
        write_text(out / f"{name}.md", markdown(shown))
        write_text(out / f"{name}.tex", latex(shown))
