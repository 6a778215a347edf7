"""YAML files as typed models; every mistake becomes one line that names file, key and what is allowed."""

from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from xmcbench.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
#: Of every model that a user writes: unknown keys, wrong types and numbers that are none are refused, values never change.
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
#: The safe loader; libyaml's where PyYAML was built with it: a workflow's start reads some 120 files.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigError naming file and line."""
    try:
        loader = _LOADER(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        _refuse_twice(path, root)
        value = None if root is None else loader.construct_document(root)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}{line}: not valid YAML: {problem}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, found a {type(value).__name__}")
    return value


def _refuse_twice(path: Path, root: yaml.Node | None) -> None:
    """Raise ConfigError if a mapping has a key twice: the loader would take the last one and say nothing."""
    waiting, seen = [root] if root is not None else [], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            waiting.append(value)
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise ConfigError(
                    f"{path}, line {line}: key {key.value!r} is there twice, first in line {lines[name]}"
                )
            lines[name] = line


def load_model(path: Path, model: type[Model], **extra: Any) -> Model:
    """Read a YAML file into a typed model; `extra` sets keys that the file must not."""
    values = load_yaml(path)
    for key in extra:
        if key in values:
            raise ConfigError(f"{path}: key {key!r} is not yours to set (it is the file's own name)")
    return validated(path, model, {**values, **extra})


def validated(source: Path | str, model: type[Model], values: dict[str, Any]) -> Model:
    """Validate values that came from `source`; raises ConfigError of one line for the first mistake found."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {first_mistake(error, model)}") from error


def first_mistake(error: ValidationError, model: type[BaseModel]) -> str:
    """Say the first mistake of a validation in one line: key, what is wrong, what is allowed."""
    first = error.errors(include_url=False)[0]
    place = [part for part in first["loc"] if not (isinstance(part, str) and part in _UNION_TAGS)]
    key = ".".join(str(part) for part in place) or "(whole file)"
    kind, message = first["type"], first["msg"].removeprefix("Value error, ").splitlines()[0]
    if kind == "extra_forbidden":
        known = _keys_at(model, list(first["loc"][:-1]))
        return f"unknown key {key!r}; allowed: {', '.join(sorted(known)) or 'none'}"
    if kind == "missing":
        return f"key {key!r} is missing"
    if kind == "value_error":
        return f"key {key!r}: {message}"
    return f"key {key!r}: {message[:1].lower()}{message[1:]}, found {first['input']!r}"


#: Parts of a mistake's place that are no keys: pydantic's own, and the formats that tell sources apart.
_UNION_TAGS = {
    *("function-after", "model"),
    *("jsonl_xz", "pecos", "raw_texts", "repository_json", "sparse_texts", "synthetic"),
}


def _keys_at(model: type[BaseModel], place: list[int | str]) -> list[str]:
    """Return the field names of the model nested at a place; of several models, that whose `format` the place names."""
    models: list[type[BaseModel]] = [model]
    for part in place:
        if part in _UNION_TAGS and len(models) > 1:
            models = [m for m in models if part in get_args(m.model_fields["format"].annotation)] or models
        elif models and isinstance(part, str) and part in models[0].model_fields:
            models = _models_in(models[0].model_fields[part].annotation)
    return list(models[0].model_fields) if models else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the models inside an annotation such as `Model | None` or `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _models_in(inner)]
