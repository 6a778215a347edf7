"""JSON schemas of every configuration file and of the recipe, generated from the typed models."""

import json
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from xmcbench.atomic import write_text
from xmcbench.config_files import BudgetFile, ConfigFile, CostFile, GridFile, MethodFile
from xmcbench.data.dataset import DatasetSpec
from xmcbench.recipe import ReferenceRecipe, TrainRecipe
from xmcbench.reporting.claims.statement import ClaimsFile

#: Read by editors and by Snakemake, which refuses a schema that does not name its draft.
DRAFT = "https://json-schema.org/draft/2020-12/schema"

FILES: dict[str, type[BaseModel]] = {
    "config": ConfigFile,
    "dataset": DatasetSpec,
    "method": MethodFile,
    "budget": BudgetFile,
    "grid": GridFile,
    "claims": ClaimsFile,
    "paper_cost": CostFile,
    "recipe": TrainRecipe,
    "reference_recipe": ReferenceRecipe,
}


def schema_text(model: type[BaseModel]) -> str:
    """Return the JSON schema of a model; `name` comes from a file's own name, so files need not have it."""
    schema = {"$schema": DRAFT, **TypeAdapter(model).json_schema()}
    if "properties" in schema and model not in (TrainRecipe, ReferenceRecipe):
        schema["properties"].pop("name", None)
        schema["required"] = [key for key in schema.get("required", []) if key != "name"]
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def write_schemas(folder: Path) -> None:
    """Write every schema as `<name>.schema.json`."""
    for name, model in FILES.items():
        write_text(folder / f"{name}.schema.json", schema_text(model))
