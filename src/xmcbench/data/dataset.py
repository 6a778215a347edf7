"""What a data set is: its file, its split rule, its constants, and the counts it must have."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from xmcbench.data.synthetic import SyntheticSource
from xmcbench.errors import DataError
from xmcbench.yaml_config import STRICT, load_model

EMBEDDED = Path(__file__).parent / "embedded"

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Part of a data-set file: unknown keys and wrong types are refused."""

    model_config = STRICT


FOLDER_FORMATS = ("pecos", "raw_texts", "repository_json", "sparse_texts")


class Source(Section):
    """Where documents come from: a file of JSON lines, or a folder in one of the public formats.

    file (jsonl_xz): a packaged file's name, or a path. folder (the others): where the files lie; without it they are
    fetched as config/sources.tsv says.
    """

    format: Literal["jsonl_xz", "pecos", "raw_texts", "repository_json", "sparse_texts"]
    file: str | None = None
    id_field: str = "id"
    text_field: str = "text"
    label_field: str | None = None
    folder: str | None = None
    #: Of a document in repository_json, joined by a blank.
    text_fields: Annotated[list[str], Field(min_length=1)] = ["title", "content"]
    #: Names of files that are Latin-1, or whose lines end in CR LF.
    latin_1: list[str] = []
    crlf: list[str] = []

    @model_validator(mode="after")
    def _complete(self) -> "Source":
        if self.format == "jsonl_xz" and (self.file is None or self.label_field is None):
            raise ValueError("format jsonl_xz needs the keys file and label_field")
        if self.format != "jsonl_xz" and (self.file is not None or self.label_field is not None):
            raise ValueError(f"format {self.format} has no keys file and label_field; allowed: folder")
        if self.format == "jsonl_xz" and self.folder is not None:
            raise ValueError("format jsonl_xz has no key folder; allowed: file")
        return self

    def path(self) -> Path:
        """Return the file of JSON lines; raises DataError if it is nowhere."""
        assert self.file is not None
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
    """Counts that a (sample of a) data set must have; train includes validation. Null is not checked."""

    documents_train: int | None = None
    documents_validation: int | None = None
    documents_test: int | None = None
    labels: int | None = None
    pairs_train: int | None = None
    pairs_test: int | None = None
    filter_pairs_train: int | None = None
    filter_pairs_test: int | None = None


class Published(Section):
    """Statistics as printed."""

    labels_per_document: float | None = None
    documents_per_label: float | None = None
    source: str = ""


class DatasetSpec(Section):
    """A data-set file, `config/datasets/<name>.yaml`."""

    name: str
    label: str
    citation: str = ""
    #: What a reader must know, such as which of two splits of the same name this is.
    note: str = ""
    source: Annotated[Source | SyntheticSource, Field(discriminator="format")]
    split: SplitRule = SplitRule()
    max_length: Annotated[int, Field(gt=0)]
    propensity: PropensityConstants
    counts: dict[str, Counts] = {}
    #: As published, to be compared with what was found; not enforced, because authors count differently.
    published: Published = Published()
    #: Recipe values that this data set changes for every method.
    recipe: dict[str, Any] = {}
    #: The paper's own recipe for this data set (its §1.6 of settings), which a budget with `paper: true` lays over a
    #: method's: sections that a method does not have, and keys of `output` that it does not set, are left out.
    paper: dict[str, Any] = {}
    #: Hours that a run of the paper took on its A100 (its App. F).
    paper_hours: Annotated[float, Field(gt=0)] | None = None

    def raw_folder(self, own: str | None = None) -> str:
        """Return where the public files lie: a folder of the user's own (config.yaml's or the file's), or the fetched one."""
        return own or getattr(self.source, "folder", None) or f"resources/raw/{self.name}"

    def is_fetched(self, own: str | None = None) -> bool:
        """Return whether the files must be fetched first: not those in the package, of the user's own, or computed."""
        source = self.source
        if isinstance(source, SyntheticSource) or source.format == "jsonl_xz":
            return False
        return own is None and source.folder is None

    def fingerprint(self, budget: str) -> str:
        """Return all that a budget's prepared files depend on, as JSON."""
        counts = self.counts.get(budget)
        declared = counts.model_dump() if counts is not None else None
        return json.dumps([self.source.model_dump(), self.split.model_dump(), declared], sort_keys=True)


class SampleSpec(Section):
    """How a budget samples a data set; shares of 1 and minimum 1 take everything.

    label_share: of the labels, those whose number's hash is smallest; a smaller share is part of a larger one.
    """

    salt: str = "xmc-v1-quick"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    label_share: Annotated[float, Field(gt=0, le=1)] = 1.0
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
        if expected is not None and value != expected:
            where = getattr(spec.source, "file", None) or getattr(spec.source, "folder", None)
            raise DataError(
                f"config/datasets/{spec.name}.yaml: counts.{budget}.{key}: declared {expected}, found {value} in "
                f"{where or 'its source'}"
            )
