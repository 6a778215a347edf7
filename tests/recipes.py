"""Recipes of layers for tests that go through several kinds."""

import dataclasses
from typing import Any

from xmcbench.output._keys import SHARED
from xmcbench.output.layer import layer_of
from xmcbench.planned_run import Run
from xmcbench.recipe import Output, merge, recipe_of


def output_of(kind: str, **settings: Any) -> Output:
    """Return a kind's section with those of the settings that it reads."""
    read = layer_of(kind).reads | SHARED
    return Output(kind=kind, **{key: value for key, value in settings.items() if key in read})


def changed(run: Run, values: dict[str, Any]) -> Run:
    """Return the run with other values in its recipe."""
    return dataclasses.replace(run, recipe=recipe_of(merge(run.recipe.model_dump(), values)))
