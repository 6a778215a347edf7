"""What a data set is: its file, its split rule, its constants, and the counts it must have."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from xmcbench.errors import DataError
from xmcbench.yaml_config import load_model

EMBEDDED = Path(__file__).parent / "embedded"

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Part of a data-set file: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(Section):
    """Where documents come from. `file`: a packaged file's name, or a path."""

    format: Literal["jsonl_xz"]
    file: str
    id_field: str = "id"
    text_field: str = "text"
    label_field: str

    def path(self) -> Path:
        """Return the file; raises DataError if it is nowhere."""
        for candidate in (Path(self.file), EMBEDDED / self.file):
            if candidate.is_file():
                return candidate
        packaged = ", ".join(sorted(p.name for p in EMBEDDED.glob("*.xz")))
        raise DataError(
            f"source.file: {self.file}: no such file; allowed: a path, or one of the packaged {packaged}"
        )


class SplitRule(Section):
    """Test and validation by hash order; every label keeps a training document."""

    salt: str = "xmc-v1"
    test_share: Share = 0.2
    validation_salt: str = "xmc-v1-val"
    validation_share: Share = 0.1


class PropensityConstants(Section):
    """A and B of the propensity model, and where they were taken from."""

    a: float
    b: float
    source: str = ""


class Counts(Section):
    """Counts that a (sample of a) data set must have; train includes validation."""

    documents_train: int
    documents_validation: int
    documents_test: int
    labels: int
    pairs_train: int
    pairs_test: int


class DatasetSpec(Section):
    """A data-set file, `config/datasets/<name>.yaml`."""

    name: str
    label: str
    citation: str = ""
    source: Source
    split: SplitRule = SplitRule()
    max_length: Annotated[int, Field(gt=0)]
    propensity: PropensityConstants
    counts: dict[str, Counts] = {}
    #: Recipe values that this data set changes for every method.
    recipe: dict[str, Any] = {}

    def fingerprint(self, budget: str) -> str:
        """Return all that a budget's prepared files depend on, as JSON."""
        counts = self.counts.get(budget)
        declared = counts.model_dump() if counts is not None else None
        return json.dumps([self.source.model_dump(), self.split.model_dump(), declared], sort_keys=True)


class SampleSpec(Section):
    """How a budget samples a data set; share 1 and minimum 1 take everything."""

    salt: str = "xmc-v1-quick"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    minimum_label_documents: Annotated[int, Field(gt=0)] = 1


def load_dataset_spec(path: Path) -> DatasetSpec:
    """Read a data-set file; raises ConfigError in one line."""
    return load_model(path, DatasetSpec, name=path.stem)


def require_counts(spec: DatasetSpec, budget: str, found: Counts) -> None:
    """Compare with what the data-set file declares for a budget; raises DataError showing both numbers."""
    declared = spec.counts.get(budget)
    if declared is None:
        return
    for key, expected in declared.model_dump().items():
        value = getattr(found, key)
        if value != expected:
            raise DataError(
                f"config/datasets/{spec.name}.yaml: counts.{budget}.{key}: declared {expected}, found {value} in {spec.source.file}"
            )
