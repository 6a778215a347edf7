"""The recipe: every number that decides what a run computes, typed, frozen, and hashed.

A recipe = defaults ⊕ data set ⊕ method ⊕ budget ⊕ swept axes ⊕ seed. Nothing that does not change the result
(labels for plots, log paths, cores) belongs here, because the hash guards checkpoints and triggers training.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from xmcbench.prior import prior_bias
from xmcbench.recipe_sections import (
    Auxiliary,
    Data,
    Encoder,
    EncoderOptimizer,
    Evaluation,
    GradientProbe,
    Intermediate,
    Output,
    OutputOptimizer,
    PositiveInt,
    Propensity,
    Section,
    Svd,
    Topology,
    Training,
    Velora,
    modules_of,
    one_of,
)

__all__ = [
    "ALGORITHM_VERSION",
    "Auxiliary",
    "Data",
    "Encoder",
    "EncoderOptimizer",
    "Evaluation",
    "GradientProbe",
    "Identity",
    "Intermediate",
    "Output",
    "OutputOptimizer",
    "Propensity",
    "Recipe",
    "ReferenceRecipe",
    "Svd",
    "Topology",
    "TrainRecipe",
    "Training",
    "Velora",
    "canonical",
    "fingerprint",
    "merge",
    "modules_of",
    "recipe_hash",
    "recipe_model",
    "recipe_of",
]

#: Raise when the same recipe would compute other numbers: every run is then made anew.
ALGORITHM_VERSION = 3


class Identity(Section):
    """Which cell of a grid this is; the run's path is a function of these four."""

    dataset: str
    method: str
    budget: str
    seed: int = 1
    algorithm_version: int = ALGORITHM_VERSION
    evaluation: Evaluation = Evaluation()
    data: Data = Data()


class TrainRecipe(Identity):
    """A run of the training engine."""

    runner: Literal["train"] = "train"
    encoder: Encoder = Encoder()
    intermediate: Intermediate | None = None
    output: Output = Output()
    output_optimizer: OutputOptimizer = OutputOptimizer()
    topology: Topology | None = None
    auxiliary: Auxiliary | None = None
    gradient_probe: GradientProbe | None = None
    training: Training = Training()

    def output_for(self, labels: int) -> Output:
        """Return the output section with the bias that L labels start with; squared hinge, which has no prior, keeps its own."""
        if self.output.expected_labels is None or self.training.loss != "bce":
            return self.output
        return self.output.model_copy(
            update={"initial_bias": prior_bias(self.output.expected_labels, labels)}
        )

    @model_validator(mode="after")
    def _can_be_probed(self) -> "TrainRecipe":
        if self.gradient_probe is not None:
            if self.encoder.kind == "frozen":
                raise ValueError("gradient_probe: a frozen encoder gets no gradient; allowed: null")
            if self.training.accumulation > 1:
                raise ValueError(
                    "gradient_probe: training.accumulation is above 1; allowed: null, or 1 there"
                )
            # What the probe sends back is not scaled as the run's own gradient is.
            if self.encoder.autocast == "float16":
                raise ValueError(
                    "gradient_probe: encoder.autocast is float16, in which its small gradients would be lost; "
                    "allowed: null, or bfloat16 there"
                )
        return self

    @model_validator(mode="after")
    def _fits(self) -> "TrainRecipe":
        width = self.intermediate.width if self.intermediate else self.encoder.features
        if self.output.fan_in is not None and self.output.fan_in > width:
            raise ValueError(
                f"output.fan_in {self.output.fan_in} exceeds the {width} features it reads; allowed: 1 … {width}"
            )
        return self


class ReferenceRecipe(Identity):
    """A run of a reference predictor that does not use the training engine."""

    runner: Literal["most_frequent", "linear_ovr", "foreign"]
    #: The foreign program (an adapter of `xmcbench.foreign`) and what is handed to it as it stands.
    program: str | None = None
    options: dict[str, bool | int | float | str] = Field(default={})
    #: LIBLINEAR's C, tolerance and thread count for linear_ovr.
    regularisation: Annotated[float, Field(gt=0)] = 1.0
    tolerance: Annotated[float, Field(gt=0)] = 0.1
    threads: PositiveInt = 2
    hold_out_validation: bool = True

    @field_validator("program")
    @classmethod
    def _known_program(cls, value: str | None) -> str | None:
        return value if value is None else one_of(value, modules_of("foreign"), but=set())

    @model_validator(mode="after")
    def _has_program(self) -> "ReferenceRecipe":
        if (self.runner == "foreign") != (self.program is not None):
            raise ValueError("a program belongs to runner foreign, and to no other")
        return self

    @model_validator(mode="after")
    def _predicts_test(self) -> "ReferenceRecipe":
        if self.evaluation.split != "test":
            raise ValueError(f"evaluation.split: {self.evaluation.split}; a reference predicts test alone")
        return self


Recipe = TrainRecipe | ReferenceRecipe


def recipe_of(values: dict[str, Any]) -> Recipe:
    """Build the typed recipe of merged values; raises pydantic's ValidationError."""
    return recipe_model(values).model_validate(values)


def recipe_model(values: dict[str, Any]) -> type[TrainRecipe] | type[ReferenceRecipe]:
    """Return the type of the recipe that merged values are: their runner decides."""
    return TrainRecipe if values.get("runner", "train") == "train" else ReferenceRecipe


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Merge nested dictionaries, later layers winning; a null removes what an earlier layer set."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            if isinstance(value, dict):
                result[key] = merge(below if isinstance(below, dict) else {}, value)
            else:
                result[key] = value
    return result


def changes(old: Any, new: Any, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Return dotted key → (old, new) value wherever two dumped recipes differ; a key that one of them lacks is None there."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {place.rstrip("."): (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in old.keys() | new.keys():
        found |= changes(old.get(key), new.get(key), f"{place}{key}.")
    return found


def canonical(recipe: Recipe) -> str:
    """Return the recipe as JSON with sorted keys and no spaces: equal recipes, equal text."""
    return json.dumps(recipe.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()


def fingerprint(recipe: Recipe) -> str:
    """Return 16 hexadecimal digits of what differs from the defaults.

    A new key whose default changes nothing leaves it as it is; whoever changes a default raises ALGORITHM_VERSION.
    """
    values = {**recipe.model_dump(mode="json", exclude_defaults=True), "version": ALGORITHM_VERSION}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
