"""Recipes of layers for tests that go through several kinds."""

from typing import Any

from xmcbench.output._keys import SHARED
from xmcbench.output.layer import layer_of
from xmcbench.recipe import Output


def output_of(kind: str, **settings: Any) -> Output:
    """Return a kind's section with those of the settings that it reads."""
    read = layer_of(kind).reads | SHARED
    return Output(kind=kind, **{key: value for key, value in settings.items() if key in read})
