"""The pinned versions: each can be installed on the oldest Python that the project allows."""

import tomllib
from importlib.metadata import PackageNotFoundError, metadata

from packaging.specifiers import SpecifierSet

from ..conftest import ROOT


def test_every_pin_runs_on_the_oldest_python() -> None:
    """Debian 12 has 3.11.2: a pin that wants a later patch release stops the README's first command there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=") + ".0"
    lines = (ROOT / "envs" / "constraints.txt").read_text().splitlines()
    pins = dict(
        line.partition(";")[0].strip().split("==") for line in lines if "==" in line.partition("#")[0]
    )
    seen = 0
    for name, version in pins.items():
        try:
            facts = metadata(name)
        except PackageNotFoundError:
            continue
        if facts["Version"].partition("+")[0] == version:
            seen += 1
            wanted = SpecifierSet(facts["Requires-Python"] or "")
            assert wanted.contains(oldest), (
                f"{name}=={version} wants Python {wanted}; allowed: one that runs on {oldest}"
            )
    assert seen > len(pins) / 2, "the environment is not the pinned one"
