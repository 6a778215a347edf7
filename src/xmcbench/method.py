"""A method: its file and those it extends, merged; and what of a data set's paper recipe concerns it. No torch here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmcbench.config_files import MethodFile
from xmcbench.errors import ConfigError, allowed
from xmcbench.recipe import merge
from xmcbench.search import Range


@dataclass(frozen=True)
class Method:
    """A method with its chain of bases merged."""

    name: str
    file: Path
    label: str
    group: str
    order: int
    citation: str
    runner: str
    search: dict[str, Range]
    recipe: dict[str, Any]
    searched: dict[str, Any]
    twin: str | None

    @property
    def display(self) -> tuple[str, str, str, int, str]:
        """What tables and figures show of the method."""
        return (self.name, self.label, self.group, self.order, self.citation)


def require(value: str, known: Iterable[str], key: str, file: Path) -> None:
    """Raise ConfigError, with the allowed names, unless `value` is known; a method with a leading _ may only be extended."""
    if value not in known:
        names = [name for name in known if not name.startswith("_")] if key == "methods" else known
        raise ConfigError(f"{file}: key {key!r}: unknown value {value!r}; {allowed(names)}")


def chain_of(name: str, files: dict[str, MethodFile], folder: Path) -> list[MethodFile]:
    """Return a method's file and those it extends, nearest first; folder: the configuration."""
    chain: list[MethodFile] = []
    current: str | None = name
    while current is not None:
        file = folder / "methods" / f"{(chain[-1].name if chain else name)}.yaml"
        require(current, files, "extends", file)
        if current in [m.name for m in chain]:
            raise ConfigError(f"{file}: key 'extends': {current!r} extends itself in a circle")
        chain.append(files[current])
        current = chain[-1].extends
    return chain


def method_of(name: str, files: dict[str, MethodFile], folder: Path) -> Method:
    """Merge a method with its bases; raises ConfigError in one line."""
    chain = chain_of(name, files, folder)

    def first(key: str, default: Any) -> Any:
        return next((v for m in chain if (v := getattr(m, key)) is not None), default)

    search = {key: space for m in reversed(chain) for key, space in m.search.items()}
    return Method(
        name=name,
        file=folder / "methods" / f"{name}.yaml",
        # A label, a citation and what a search found are one method's own; the rest may come from a base.
        label=chain[0].label or name,
        group=first("group", "other"),
        order=first("order", 1000),
        citation=first("citation", ""),
        runner=first("runner", "train"),
        search={key: space for key, space in search.items() if space is not None},
        recipe=merge(*(m.recipe for m in reversed(chain))),
        searched=chain[0].searched,
        twin=chain[0].twin,
    )


def require_not_overruled(method: Method, budget: str, values: dict[str, Any]) -> None:
    """Raise ConfigError where a budget sets a key of the method's own recipe to something else: it would count for nothing.

    values: the budget's. Its nulls remove a key of methods, and are meant to.
    """
    for key, own, theirs in _both_set(method.recipe, values):
        if own != theirs:
            raise ConfigError(
                f"{method.file}: recipe: key {key!r}: {own!r}, but budget {budget!r} sets {theirs!r} for every method; "
                "allowed: to leave it to the budget, or a budget of your own"
            )


def _both_set(own: dict[str, Any], above: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name in own:
        if name not in above:
            continue
        if isinstance(own[name], dict) and isinstance(above[name], dict):
            yield from _both_set(own[name], above[name], f"{place}{name}.")
        elif above[name] is not None:
            yield place + name, own[name], above[name]


def twins_of(methods: dict[str, Method]) -> dict[str, str]:
    """Return method → the other that trains alike, both ways; raises ConfigError unless `output.kind` is all that differs."""
    twins: dict[str, str] = {}
    for method in methods.values():
        if method.twin is None:
            continue
        require(method.twin, methods, "twin", method.file)
        other = methods[method.twin]
        here, there = (merge(m.recipe, {"output": {"kind": None}}) for m in (method, other))
        if (here, method.search) != (there, other.search):
            raise ConfigError(
                f"{method.file}: key 'twin': {other.name!r} has another recipe or search; "
                "allowed: methods that differ in output.kind alone"
            )
        taken = [
            f"{name!r} is the twin of {twins[name]!r}" for name in (other.name, method.name) if name in twins
        ]
        if taken or other is method:
            said = taken[0] if taken else "it is the method itself"
            raise ConfigError(
                f"{method.file}: key 'twin': {said}; allowed: another method, in one of the two files"
            )
        twins |= {method.name: other.name, other.name: method.name}
    return twins


def paper_recipe(paper: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
    """Return what of a data set's paper recipe concerns a method: the parts that the method has.

    A method without topology, auxiliary objective or intermediate layer gets none; of `output` it gets the keys that it
    sets itself, so that a dense layer has no fan-in and a bottleneck takes the fan-in as its rank (paper §3.2). A method
    that names an optimiser of its own for the output layer (ELMO's SGD without state) keeps it.
    """
    own_output = method.get("output") or {}
    own_optimizer = "kind" in (method.get("output_optimizer") or {})
    found: dict[str, Any] = {}
    for section, values in paper.items():
        if section in ("topology", "auxiliary", "intermediate"):
            if method.get(section):
                found[section] = values
        elif section == "output_optimizer" and own_optimizer:
            continue
        elif section == "output":
            found[section] = {key: value for key, value in values.items() if key in own_output}
        else:
            found[section] = values
    return found
