"""From configuration to runs: which recipes a grid asks for, and where each run's files lie. No torch here."""

import itertools
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xmcbench.config_files import BudgetFile, Cell, CostFile, GridFile, MethodFile, config_files
from xmcbench.data.dataset import DatasetSpec, SampleSpec, load_dataset_spec
from xmcbench.errors import ConfigError, DeviceError
from xmcbench.grid import by_dataset, cells_of, grid_names, require_apart, shown_by
from xmcbench.method import (
    Method,
    chain_of,
    method_of,
    paper_recipe,
    require,
    require_not_overruled,
    twins_of,
)
from xmcbench.planned_run import (
    Run,
    by_folder,
    nested,
    parse_tokens_name,
    point_name,
    require_one_recipe,
    tokens_name,
)
from xmcbench.recipe import Recipe, ReferenceRecipe, TrainRecipe, merge, recipe_model, recipe_of
from xmcbench.search import draw_trial
from xmcbench.yaml_config import first_mistake, load_model, load_yaml, validated

__all__ = [
    "Project",
    "Run",
    "by_folder",
    "check_devices",
    "check_keys",
    "nested",
    "parse_tokens_name",
    "point_name",
    "tokens_name",
]


class Project:
    """Every configuration file, read and checked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.datasets = {p.stem: load_dataset_spec(p) for p in config_files(folder / "datasets")}
        self.budgets = {
            p.stem: load_model(p, BudgetFile, name=p.stem) for p in config_files(folder / "budgets")
        }
        self.fidelity = {p.stem: load_yaml(p) for p in config_files(folder / "fidelity")}
        self._method_files = {
            p.stem: load_model(p, MethodFile, name=p.stem) for p in config_files(folder / "methods")
        }
        self.methods = {
            n: method_of(n, self._method_files, folder) for n in self._method_files if not n.startswith("_")
        }
        self.grids = {p.stem: load_model(p, GridFile, name=p.stem) for p in config_files(folder / "grids")}

    @cached_property
    def twins(self) -> dict[str, str]:
        """Method → the other with which it shares its search; raises ConfigError where the two differ in more than storage."""
        return twins_of(self.methods)

    @property
    def grid_names(self) -> list[str]:
        """Every name that `runs` knows: the grid files, and the other scales of experiments."""
        return [*grid_names(self.grids), *by_dataset(self.grids, self.folder)]

    def shown_by(self, grid: str) -> list[str]:
        """Return the tables and figures of experiments that a grid's runs are for; raises ConfigError in one line."""
        return [] if grid in by_dataset(self.grids, self.folder) else shown_by(self.grids, grid, self.folder)

    def runs(self, grid: str) -> list[Run]:
        """Return the runs of a grid, each once, in its order; raises ConfigError in one line."""
        parts = by_dataset(self.grids, self.folder)
        if grid in parts:
            whole, dataset = parts[grid]
            return [run for run in self.runs(whole) if run.dataset == dataset]
        found: dict[str, Run] = {}
        for cell, file in cells_of(self.grids, grid, self.folder):
            assert cell.budget is not None and cell.datasets is not None and cell.seeds is not None
            require(cell.budget, self.budgets, "budget", file)
            for dataset in cell.datasets:
                require(dataset, self.datasets, "datasets", file)
            require_apart([axis.key for axis in cell.axes.values()], "axes", file)
            points = [
                dict(zip(cell.axes, values, strict=True))
                for values in itertools.product(*(axis.values for axis in cell.axes.values()))
            ]
            points += [{"trial": trial} for trial in range(cell.trials)]
            if cell.trials:
                del points[0]  # the empty point: trial 0 is the method as it stands
            methods = self._methods_of(cell, file)
            for dataset, method, point, seed in itertools.product(cell.datasets, methods, points, cell.seeds):
                run = self._run(cell, dataset, method, point, seed, file)
                require_one_recipe(found.get(run.folder), run, str(file))
                found[run.folder] = run
        return list(found.values())

    def cost_runs(self) -> list[Run]:
        """Return the runs of the paper's recipe that config/paper_cost.yaml names, of which steps are measured."""
        file = self.folder / "paper_cost.yaml"
        found = []
        for dataset, methods in validated(file, CostFile, load_yaml(file)).root.items():
            require(dataset, self.datasets, "datasets", file)
            for method in methods:
                require(method, self.methods, "methods", file)
                cell = Cell(methods=[method], budget="paper")
                found.append(self._run(cell, dataset, method, {}, 1, file))
        return found

    def _methods_of(self, cell: Cell, file: Path) -> list[str]:
        for name in [*([] if cell.methods == "all" else cell.methods), *cell.but]:
            require(name, self.methods, "methods", file)
        if cell.methods != "all":
            return [name for name in cell.methods if name not in cell.but]
        ours = [n for n, method in self.methods.items() if method.runner != "foreign" and n not in cell.but]
        return sorted(ours, key=lambda n: (self.methods[n].order, n))

    def require_datasets(self, names: Iterable[str], key: str) -> None:
        """Raise ConfigError unless config.yaml's `key` names data sets that are there."""
        for name in names:
            require(name, self.datasets, key, self.folder / "config.yaml")

    def sample_rule(self, budget: str) -> SampleSpec:
        """Return the sample rule of a budget that has its own."""
        rule = self.budgets[budget].sample
        return rule if rule is not None else SampleSpec()

    def check(self) -> list[Run]:
        """Plan every grid, so that a mistake anywhere is found, and return what is planned; raises ConfigError."""
        planned = by_folder({grid: self.runs(grid) for grid in self.grid_names})
        return [*planned.values(), *self.cost_runs()]

    def _run(
        self,
        cell: Cell,
        dataset: str,
        method: str,
        point: dict[str, int | float | str],
        seed: int,
        file: Path,
    ) -> Run:
        assert cell.budget is not None
        spec, base, budget = self.datasets[dataset], self.methods[method], self.budgets[cell.budget]
        require_not_overruled(base, cell.budget, budget.recipe)
        searched: tuple[str, ...] = ()
        # The paper's recipe has no value that our data chose, and a search begins where it began.
        own = base.recipe if budget.paper or cell.trials else merge(base.recipe, base.searched)
        if "trial" in point and cell.trials:
            space = {**cell.search, **base.search}
            searched = tuple(searched.key for searched in space.values())
            require_apart(searched, "search", file)
            drawn = draw_trial(space, method, int(point["trial"]))
            swept = merge(*(nested(key, value) for key, value in drawn.items()))
        else:
            swept = merge(*(nested(cell.axes[axis].key, value) for axis, value in point.items()))
        name = point_name(method, point)
        identity = {
            "dataset": dataset,
            "method": name,
            "budget": cell.budget,
            "seed": seed,
            "runner": base.runner,
        }
        constants = {"a": spec.propensity.a, "b": spec.propensity.b}
        data = {"data": {"max_length": spec.max_length}, "evaluation": {"propensity": constants}}
        printed = paper_recipe(spec.paper, base.recipe) if budget.paper else {}
        faithful = paper_recipe(self.fidelity[budget.fidelity], base.recipe) if budget.fidelity else {}
        layers = [data, spec.recipe, own, printed, faithful, budget.recipe, swept, identity]
        if base.runner != "train":
            known = set(ReferenceRecipe.model_fields)
            layers = [
                {k: v for k, v in layer.items() if k in known} if layer is not own else layer
                for layer in layers
            ]
        recipe = self._validated(merge(*layers), base, spec, budget, file, swept)
        return Run(dataset, name, method, seed, cell.budget, self._sample_budget(budget), recipe, searched)

    def _validated(
        self,
        values: dict[str, Any],
        base: Method,
        spec: DatasetSpec,
        budget: BudgetFile,
        file: Path,
        swept: dict[str, Any],
    ) -> Recipe:
        try:
            return recipe_of(values)
        except ValidationError as error:
            place = [str(p) for p in error.errors()[0]["loc"]]
            raise ConfigError(
                f"{self._author(place, base, spec, budget, file, swept)}: recipe: {first_mistake(error, recipe_model(values))}"
            ) from error

    def _author(
        self,
        place: list[str],
        base: Method,
        spec: DatasetSpec,
        budget: BudgetFile,
        file: Path,
        swept: dict[str, Any],
    ) -> Path:
        """Find the file that set a recipe key: the last one to set it wins the merge, so it is asked first."""
        if not place:  # keys that do not go together: the method brought them together, or the grid's axes
            return file if swept else base.file
        chain: list[tuple[Path, dict[str, Any]]] = [
            (file, swept),
            (self.folder / "budgets" / f"{budget.name}.yaml", budget.recipe),
        ]
        for method in chain_of(base.name, self._method_files, self.folder):
            own = {**method.recipe, **({"runner": method.runner} if method.runner else {})}
            if method.name == base.name:
                own = merge(own, method.searched)
            chain.append((self.folder / "methods" / f"{method.name}.yaml", own))
        chain.append((self.folder / "datasets" / f"{spec.name}.yaml", spec.recipe))
        for path, values in chain:
            if _has(values, place):
                return path
        return base.file

    def _sample_budget(self, budget: BudgetFile) -> str:
        if budget.sample_of is None:
            return budget.name
        file = self.folder / "budgets" / f"{budget.name}.yaml"
        require(budget.sample_of, self.budgets, "sample_of", file)
        return budget.sample_of


def check_devices(runs: list[Run]) -> None:
    """Raise DeviceError if a run asks for a device that is not there; torch is imported only if one does."""
    for run in runs:
        if isinstance(run.recipe, TrainRecipe) and run.recipe.training.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise DeviceError(
                    f"config/methods/{run.base_method}.yaml (or its budget or data set): key 'training.device': "
                    "cuda was asked for, but this machine has none; allowed: cpu"
                )
            return


def check_keys(runs: Iterable[Run]) -> None:
    """Raise ConfigError if a recipe sets a key that its encoder or output layer does not read; imports torch."""
    from xmcbench.encoder.encoder import require_encoder_keys
    from xmcbench.output.layer import layer_of

    for run in runs:
        if isinstance(run.recipe, TrainRecipe):
            its = run.recipe
            try:
                require_encoder_keys(its.encoder)
                layer_of(its.output.kind).require_read(its.output, its.topology)
            except ConfigError as error:
                raise ConfigError(
                    f"config/methods/{run.base_method}.yaml (or its budget, data set or grid): {error}"
                ) from error


def _has(values: Any, place: list[str]) -> bool:
    for part in place:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
