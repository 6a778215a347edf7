"""A grid's cells, made whole: those of the grids it extends, and at an experiment's scale. No torch here."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

from xmcbench.config_files import Cell, GridFile, Scale
from xmcbench.errors import ConfigError, allowed

#: The seed of a cell that names none, where no scale does.
DEFAULT_SEEDS = [1]


def grid_names(grids: Mapping[str, GridFile]) -> dict[str, tuple[str, str | None]]:
    """Return name → (file, scale): a grid goes by its file's name (at its first scale), and `<name>_<scale>` for the others.

    Raises ConfigError if a file has the name of another one's scale.
    """
    names: dict[str, tuple[str, str | None]] = {
        name: (name, next(iter(grid.scales), None)) for name, grid in grids.items()
    }
    for name, grid in grids.items():
        for scale in list(grid.scales)[1:]:
            if f"{name}_{scale}" in names:
                raise ConfigError(
                    f"config/grids/{name}.yaml: key 'scales': {scale!r} makes the name {name}_{scale}, which is taken"
                )
            names[f"{name}_{scale}"] = (name, scale)
    return names


def cells_of(grids: Mapping[str, GridFile], name: str, folder: Path) -> list[tuple[Cell, Path]]:
    """Return the cells of a grid, each with budget, data sets and seeds, and the file it stands in; raises ConfigError.

    folder: the configuration folder, for messages.
    """
    file, scale = _file_and_scale(grids, name, folder)
    return _cells(grids, file, scale, folder, ())


def by_dataset(grids: Mapping[str, GridFile], folder: Path) -> dict[str, tuple[str, str]]:
    """Return name → (grid, data set) of grids whose data sets are grids too, `<name>_<data set>`."""
    return {
        f"{name}_{dataset}": (name, dataset)
        for name, grid in grids.items()
        if grid.by_dataset
        for cell, _ in cells_of(grids, name, folder)
        for dataset in cell.datasets or []
    }


def shown_by(grids: Mapping[str, GridFile], name: str, folder: Path) -> list[str]:
    """Return the tables and figures that a grid's runs are for, with those of the grids it extends, each once.

    folder: as in `cells_of`; raises ConfigError if there is no such grid.
    """
    file, _ = _file_and_scale(grids, name, folder)
    own = grids[file]
    below = [shown for base in _bases(own) for shown in shown_by(grids, base, folder)]
    return list(dict.fromkeys([*below, *own.shows]))


def require_apart(keys: Iterable[str], named: str, file: Path) -> None:
    """Raise ConfigError if two recipe keys that a cell sets are one, or one lies within the other: only one would count.

    named: the cell's key that names them, `axes` or `search`.
    """
    whole = sorted(f"{key}." for key in keys)  # a key stands before what lies within it
    for key, follower in itertools.pairwise(whole):
        if follower.startswith(key):
            both = f"{key[:-1]} and {follower[:-1]}"
            raise ConfigError(
                f"{file}: key '{named}': {both} set one recipe key, of which one would count; allowed: keys apart from each other"
            )


def _file_and_scale(grids: Mapping[str, GridFile], name: str, folder: Path) -> tuple[str, str | None]:
    names = grid_names(grids)
    if name not in names:
        raise ConfigError(
            f"{folder / 'config.yaml'}: key 'grid': unknown value {name!r}; {allowed(sorted(names))}"
        )
    return names[name]


def _bases(grid: GridFile) -> list[str]:
    return [grid.extends] if isinstance(grid.extends, str) else list(grid.extends or [])


def _cells(
    grids: Mapping[str, GridFile], name: str, scale: str | None, folder: Path, seen: tuple[str, ...]
) -> list[tuple[Cell, Path]]:
    file = folder / "grids" / f"{name}.yaml"
    own = grids[name]
    found: list[tuple[Cell, Path]] = []
    for base in _bases(own):
        if base not in grids:
            raise ConfigError(f"{file}: key 'extends': unknown value {base!r}; {allowed(sorted(grids))}")
        if base in (*seen, name):
            raise ConfigError(f"{file}: key 'extends': {base!r} extends itself in a circle")
        known = grids[base].scales
        if not own.scales or not known:
            found += _cells(grids, base, next(iter(known), None), folder, (*seen, name))
        elif scale in known:
            found += _cells(grids, base, scale, folder, (*seen, name))
    _require_axes(own, file)
    for cell in own.cells:
        _require_scales(cell, own, file)
        if cell.scales is None or scale in cell.scales:
            found += [
                (whole, file) for whole in _whole(cell, own.scales[scale] if scale else None, scale, file)
            ]
    return found


def _require_scales(cell: Cell, grid: GridFile, file: Path) -> None:
    for scale in cell.scales or []:
        if scale not in grid.scales:
            raise ConfigError(f"{file}: key 'scales': unknown value {scale!r}; {allowed(list(grid.scales))}")


def _require_axes(grid: GridFile, file: Path) -> None:
    axes = sorted({axis for cell in grid.cells for axis in cell.axes})
    for name, scale in grid.scales.items():
        for axis in scale.values if scale else {}:
            if axis not in axes:
                raise ConfigError(
                    f"{file}: key 'values': scale {name!r}: no cell has an axis {axis!r}; {allowed(axes)}"
                )


def _whole(cell: Cell, scale: Scale | None, name: str | None, file: Path) -> list[Cell]:
    """Return the cell once for each budget, with what it leaves out taken from the scale."""
    missing = [key for key in ("budget", "datasets") if getattr(cell, key) is None]
    if missing and scale is None:
        where = f"scale {name!r} is empty" if name else "the grid has no scales"
        raise ConfigError(f"{file}: key '{missing[0]}': a cell names none, and {where}")
    axes = dict(cell.axes)
    for axis, values in (scale.values if scale else {}).items():
        if axis in axes:
            axes[axis] = axes[axis].model_copy(update={"values": values})
    seeds = cell.seeds or (scale.seeds if scale else DEFAULT_SEEDS)
    budgets = [cell.budget] if cell.budget is not None else list(scale.budgets if scale else [])
    datasets = cell.datasets if cell.datasets is not None else list(scale.datasets if scale else [])
    given = {"datasets": datasets, "seeds": seeds, "axes": axes}
    return [cell.model_copy(update={"budget": budget, **given}) for budget in budgets]
