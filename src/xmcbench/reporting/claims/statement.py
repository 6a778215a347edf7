"""config/claims.yaml, typed: a claim, and the comparisons that test it.

A term is `[-]method[:metric]`: a method with its swept values as the ledger writes it (`fixed_fan_in_set@fan_in=32`), minus
if it is taken away, and a metric if it is not the test's own. `{}` in a method stands for the point of `along`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from xmcbench.errors import ConfigError, allowed
from xmcbench.evaluation.bands import ALL, BANDS
from xmcbench.plan import Project
from xmcbench.planned_run import COST_BUDGET, in_turns
from xmcbench.yaml_config import STRICT, load_model

TERM = re.compile(r"^(?P<sign>-?)(?P<method>[A-Za-z0-9_.@=,{}+-]+?)(?::(?P<metric>[A-Za-z0-9_-]+))?$")

#: How a row of points is judged: all steps up, all steps down, best inside, or the change a doubling of x.
Shape = Literal["rises", "falls", "peaks_inside", "slope"]


class Section(BaseModel):
    """A part of the file: unknown keys and wrong types are refused."""

    model_config = STRICT


@dataclass(frozen=True)
class Term:
    """One number of a comparison: of which method and metric, and whether it is added or taken away."""

    sign: int
    method: str
    metric: str | None


class Along(Section):
    """Points of a test that looks at several: values of a swept axis, or label spaces by their number of labels."""

    #: What `{}` stands for, in the order of x; x is the point itself (a number).
    points: list[int | float] = []
    #: Point as it is written → the method whose rows stand for it: an end of an axis that goes by another name.
    instead: dict[str, str] = {}
    #: Or budgets whose samples have as many labels as x.
    label_spaces: list[str] = []
    shape: Shape
    #: A step against the direction that is no larger is no step (`rises`, `falls`).
    tolerance: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _one_of(self) -> "Along":
        if bool(self.points) == bool(self.label_spaces):
            raise ValueError("along: one of the keys points and label_spaces is needed, and only one")
        if len(self.points or self.label_spaces) < 3:
            raise ValueError("along: a shape needs at least 3 points")
        unknown = sorted(set(self.instead) - {str(p) for p in self.points})
        if unknown:
            raise ValueError(
                f"along: instead: {', '.join(unknown)} is no point; allowed: {', '.join(map(str, self.points))}"
            )
        return self


class Comparison(Section):
    """A comparison: Σ value, or Σ value / Σ over, against a threshold, on every data set named."""

    #: What is compared, in words that a table shows.
    name: str
    value: Annotated[list[str], Field(min_length=1)]
    over: list[str] = []
    metric: str = "P"
    k: int | None = 1
    band: str = "all"
    #: After this many epochs, up to and with that many: the mean over this part of the curve, in place of the end.
    epochs: tuple[float, float] | None = None
    datasets: Annotated[list[str], Field(min_length=1)] = ["wordnet-33k"]
    budget: str = "quick"
    along: Along | None = None
    at_least: float | None = None
    at_most: float | None = None
    #: |value| at most this.
    within: float | None = None

    @field_validator("epochs", mode="before")
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("value", "over")
    @classmethod
    def _terms(cls, value: list[str]) -> list[str]:
        for text in value:
            if not TERM.match(text):
                raise ValueError(f"{text!r} is no term; allowed: [-]method[:metric]")
        return value

    @model_validator(mode="after")
    def _one_threshold(self) -> "Comparison":
        if sum(t is not None for t in (self.at_least, self.at_most, self.within)) != 1:
            raise ValueError("one threshold is needed, and only one; allowed: at_least, at_most, within")
        return self

    def terms(self, which: Literal["value", "over"]) -> list[Term]:
        """Return the parsed terms of one side."""
        found = []
        for text in getattr(self, which):
            match = TERM.match(text)
            assert match is not None
            found.append(Term(-1 if match["sign"] else 1, match["method"], match["metric"]))
        return found

    def method_of(self, term: Term, point: str = "") -> str:
        """Return the method whose rows a term asks for, at a point of `along` ("" where there is none)."""
        instead = self.along.instead if self.along else {}
        return instead.get(point, term.method.replace("{}", point))

    @property
    def budgets(self) -> list[str]:
        """The budgets whose rows are asked for."""
        return self.along.label_spaces if self.along and self.along.label_spaces else [self.budget]

    @property
    def bases(self) -> list[str]:
        """The methods whose rows are asked for, without swept values."""
        methods = [term.method for term in [*self.terms("value"), *self.terms("over")]]
        methods += self.along.instead.values() if self.along else []
        return [method.partition("@")[0] for method in methods]

    @property
    def metrics(self) -> list[str]:
        """The metrics whose rows are asked for."""
        own = [term.metric or self.metric for term in [*self.terms("value"), *self.terms("over")]]
        return sorted(set(own))

    @property
    def threshold(self) -> str:
        """The threshold as a table shows it."""
        if self.within is not None:
            return f"within ±{self.within:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"

    def met_by(self, value: float) -> bool:
        """Return whether a number meets the threshold."""
        if self.within is not None:
            return abs(value) <= self.within
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)


class Claim(Section):
    """What a paper says, in our words, and how it is tested; without tests it is not run, and says why."""

    id: str
    sentence: str
    source: str
    scope: str
    tests: list[Comparison] = []
    not_run: str | None = None

    @model_validator(mode="after")
    def _tested_or_not(self) -> "Claim":
        if bool(self.tests) == (self.not_run is not None):
            raise ValueError(f"claim {self.id}: needs tests, or not_run and why; not both")
        return self


class ClaimsFile(Section):
    """config/claims.yaml."""

    claims: Annotated[list[Claim], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "ClaimsFile":
        ids = [claim.id for claim in self.claims]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"claims of one id: {', '.join(twice)}")
        return self


def load_claims(path: Path) -> list[Claim]:
    """Read the claims; raises ConfigError naming file, key and what is allowed."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    return list(load_model(path, ClaimsFile).claims)


def names_of(project: Project) -> dict[str, list[str]]:
    """Return the names that a test may use, by kind, as a project has them: all but metrics, which rows have."""
    return {
        "datasets": list(project.datasets),
        "budgets": [*project.budgets, *map(in_turns, project.budgets), COST_BUDGET],
        "methods": list(project.methods),
        "bands": [ALL, *BANDS],
    }


def require_known(claims: list[Claim], path: Path, known: Mapping[str, Collection[str]]) -> None:
    """Raise ConfigError where a test asks for what no run can have: it would stay "not run" for ever.

    known: the names of each kind: datasets, budgets, methods, bands, and metrics where rows say which there are.
    """
    for claim in claims:
        for test in claim.tests:
            asked = {
                "datasets": test.datasets,
                "budgets": test.budgets,
                "methods": test.bases,
                "bands": [test.band],
                "metrics": test.metrics,
            }
            for kind in known:
                if unknown := sorted(set(asked[kind]) - set(known[kind])):
                    raise ConfigError(
                        f"{path}: claim {claim.id}: {test.name}: unknown {kind}: {', '.join(unknown)}; {allowed(known[kind])}"
                    )
