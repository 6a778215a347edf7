"""The configuration files of methods, budgets and grids, typed."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel, model_validator

from xmcbench.data.dataset import SampleSpec
from xmcbench.errors import ConfigError
from xmcbench.search import Range
from xmcbench.yaml_config import STRICT

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


class Section(BaseModel):
    """A configuration file or part of one."""

    model_config = STRICT


class MethodFile(Section):
    """config/methods/<name>.yaml. Files whose name begins with `_` are bases to extend, not methods."""

    name: str
    extends: str | None = None
    label: str | None = None
    group: str | None = None
    order: int | None = None
    citation: str | None = None
    runner: str | None = None
    #: Keys of its own that a grid of trials searches beside the common ones; null: not what a base searches.
    search: dict[str, Range | None] = {}
    recipe: dict[str, Any] = {}
    #: Recipe values that a search on our data found, laid over `recipe`; not inherited, and not in the paper's recipes.
    searched: dict[str, Any] = {}
    #: A method that trains alike and stores its layer otherwise: the two share one search. Said in one of their files, not inherited.
    twin: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "MethodFile":
        # An empty file would be a method all the same: the defaults, under its name.
        if self.extends is None and self.runner is None and not self.recipe:
            raise ValueError("says nothing of the method; allowed: 'extends', 'runner' or 'recipe'")
        return self


class BudgetFile(Section):
    """config/budgets/<name>.yaml: a sample rule (or another budget's), and recipe values for every method."""

    name: str
    label: str = ""
    sample: SampleSpec | None = None
    sample_of: str | None = None
    #: Whether the data set's `paper` recipe is laid over a method's.
    paper: bool = False
    #: A file of config/fidelity whose values are laid over everything but this budget's own.
    fidelity: Literal["printed", "official", "corrected"] | None = None
    recipe: dict[str, Any] = {}


class Axis(Section):
    """A swept recipe key: its short name (the key of `axes`) and values appear in the method's name."""

    key: str
    values: Annotated[list[bool | int | float | str], Field(min_length=1)]


class Cell(Section):
    """A block of a grid: every data set × method × seed × point of the axes, or × trial of a random search.

    methods: names, or `all`: every file of config/methods that is neither a base nor a foreign program,
    but for those of `but`. budget, datasets, seeds: what is left out is the scale's (without scales: seed 1).
    """

    budget: str | None = None
    datasets: list[str] | None = None
    methods: list[str] | Literal["all"]
    but: list[str] = []
    seeds: list[int] | None = None
    #: The scales that take this cell; null: all of them.
    scales: list[str] | None = None
    axes: dict[str, Axis] = {}
    #: Trials of every method (the first is the method as it stands), and what they search.
    trials: Annotated[int, Field(ge=0)] = 0
    search: dict[str, Range] = {}


class Scale(Section):
    """How large an experiment is: what its cells leave out, and values of an axis that are this scale's own."""

    budgets: Annotated[list[str], Field(min_length=1)]
    datasets: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)] = [1]
    values: dict[str, Annotated[list[bool | int | float | str], Field(min_length=1)]] = {}


class GridFile(Section):
    """config/grids/<name>.yaml: the cells of other grids, if it extends any, and its own.

    A grid with scales is an experiment: `<name>` is its first scale, `<name>_<scale>` each of the others. A grid that
    extends experiments takes them at its own scale of the same name; it may name scales and leave them empty.
    """

    name: str
    extends: str | list[str] | None = None
    cells: list[Cell] = []
    scales: dict[str, Scale | None] = {}
    #: Each data set of it is a grid too, `<name>_<data set>` (at the first scale).
    by_dataset: bool = False
    #: Tables and figures of `xmcbench.reporting.experiments` that its runs are for.
    shows: list[str] = []


class CostFile(RootModel[dict[str, list[str]]]):
    """config/paper_cost.yaml: data set → methods."""


class ConfigFile(Section):
    """config/config.yaml."""

    grid: str = "quick"
    #: Data set → folder that already holds its files: nothing is fetched.
    raw: dict[str, str] = {}


def config_files(folder: Path) -> list[Path]:
    """Return a folder's YAML files; raises ConfigError on a name that cannot be part of a path, or would be passed over."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    for other in sorted(folder.glob("*.yml")):
        raise ConfigError(f"{other}: would not be read; allowed: {other.with_suffix('.yaml').name}")
    files = sorted(folder.glob("*.yaml"))
    for file in files:
        if not NAME.match(file.stem.lstrip("_")):
            raise ConfigError(
                f"{file}: a file's name is a name in paths; allowed: letters, digits, '_', '.', '-'"
            )
    return files
