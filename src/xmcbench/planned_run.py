"""One run of a grid: its identity, its recipe, and where its files lie. No torch here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xmcbench.errors import ConfigError
from xmcbench.recipe import Recipe, TrainRecipe, canonical, changes, fingerprint

#: In place of a run's budget, for a few measured steps of the paper's recipe (`training.paper_cost`).
COST_BUDGET = "paper_cost"


def in_turns(budget: str) -> str:
    """Return what stands in place of a run's budget where it took turns with its peers (`training.in_turns`)."""
    return f"{budget}_in_turns"


@dataclass(frozen=True)
class Run:
    """One run of a grid."""

    dataset: str
    method: str
    base_method: str
    seed: int
    budget: str
    sample_budget: str
    recipe: Recipe
    #: Recipe keys that a random search draws for this run.
    searched: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where the run's files lie: a pure function of its identity."""
        return f"results/runs/{self.budget}/{self.dataset}/{self.method}/seed{self.seed}"

    @property
    def sample_folder(self) -> str:
        """The budget's sample of the data set."""
        return f"resources/samples/{self.sample_budget}/{self.dataset}"

    @property
    def tokens_folder(self) -> str:
        """The sample's tokens for this run's encoder."""
        return f"resources/tokens/{self.sample_budget}/{self.dataset}/{self.tokens_name}"

    @property
    def tokens_name(self) -> str:
        """Tokenizer, length, and whether special tokens are in: all that the tokens depend on."""
        recipe = self.recipe
        pretrained, special = "packaged/minilm-l6", False
        if isinstance(recipe, TrainRecipe):
            pretrained, special = recipe.encoder.pretrained, recipe.encoder.kind != "bag"
        return tokens_name(pretrained, recipe.data.max_length, special)

    @property
    def groups_file(self) -> str | None:
        """The label groups of the auxiliary objective, if the run has one."""
        if not isinstance(self.recipe, TrainRecipe) or self.recipe.auxiliary is None:
            return None
        return self._groups(self.recipe.auxiliary.grouping, self.recipe.auxiliary.groups)

    @property
    def order_file(self) -> str | None:
        """The label groups that the output layer lays side by side, if its order needs any."""
        if not isinstance(self.recipe, TrainRecipe):
            return None
        output = self.recipe.output
        if output.label_order in (None, "frequency"):
            return None
        return self._groups(output.label_order, output.order_groups)

    def _groups(self, grouping: str, groups: int) -> str:
        folder = f"resources/groups/{self.sample_budget}/{self.dataset}"
        return f"{folder}/{grouping}-{groups}-seed{self.seed}.npy"

    def value_of(self, key: str) -> Any:
        """Return a recipe value by its dotted key; None where a section on its way is null."""
        value: Any = self.recipe.model_dump()
        for part in key.split("."):
            value = None if value is None else value[part]
        return value

    @property
    def canonical_recipe(self) -> str:
        """The recipe as the text that the workflow compares."""
        return canonical(self.recipe)


def train_recipe(run: Run) -> TrainRecipe:
    """Return the recipe of a run that this engine trains; raises ConfigError for any other."""
    if not isinstance(run.recipe, TrainRecipe):
        raise ConfigError(f"{run.method}: no method of this engine; allowed: methods that train")
    return run.recipe


def row_of(run: Run, budget: str, hardware: str) -> dict[str, Any]:
    """Return what every row of a ledger says of its run; budget: the run's, or what stands in its place."""
    identity = {"dataset": run.dataset, "method": run.method, "seed": run.seed, "budget": budget}
    return {**identity, "recipe": fingerprint(run.recipe), "hardware": hardware}


def require_one_recipe(known: Run | None, run: Run, where: str) -> None:
    """Raise ConfigError if a planned run of the same folder has another recipe: axes of one short name, for different keys."""
    if known is None or known.recipe == run.recipe:
        return
    key, (there, here) = min(changes(known.recipe.model_dump(), run.recipe.model_dump()).items())
    raise ConfigError(
        f"{where}: {run.method!r} has two recipes ({key}: {there!r} and {here!r}), which would be one run; "
        "allowed: for different keys axes of different names"
    )


def by_folder(grids: Mapping[str, Iterable[Run]]) -> dict[str, Run]:
    """Return folder → run of all grids; raises ConfigError naming two grids that mean different runs by one folder."""
    found: dict[str, tuple[str, Run]] = {}
    for grid, runs in grids.items():
        for run in runs:
            other, known = found.setdefault(run.folder, (grid, run))
            require_one_recipe(known, run, f"grids {other} and {grid}")
    return {folder: run for folder, (_, run) in found.items()}


def contests_of(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return runs by what takes turns: name → those that train, of one budget, data set and seed, in their order."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        if isinstance(run.recipe, TrainRecipe):
            found.setdefault(f"{run.budget}-{run.dataset}-seed{run.seed}", []).append(run)
    return found


def tokens_name(pretrained: str, max_length: int, special: bool) -> str:
    """Name a folder of tokens; `parse_tokens_name` reads it back."""
    return f"{pretrained.replace('/', '--')}+{max_length}{'+special' if special else ''}"


def parse_tokens_name(name: str) -> tuple[str, int, bool]:
    """Return (pretrained, max_length, special) of a token folder's name."""
    pretrained, length, *rest = name.split("+")
    return pretrained.replace("--", "/"), int(length), rest == ["special"]


def point_name(method: str, point: dict[str, int | float | str]) -> str:
    """Append the swept values to a method's name, e.g. `fixed_fan_in_set_aux@fan_in=64,cutoff=5`."""
    if not point:
        return method
    return method + "@" + ",".join(f"{axis}={value}" for axis, value in point.items())


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return a dotted key and its value as nested mappings."""
    for part in reversed(key.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested
