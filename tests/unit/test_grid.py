"""Experiments: one grid file, several scales."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from xmcbench.errors import ConfigError
from xmcbench.plan import Project, Run
from xmcbench.recipe import TrainRecipe

SWEEP: dict[str, Any] = {
    "shows": ["t5"],
    "scales": {
        "quick": {"budgets": ["smoke", "quick"], "datasets": ["wordnet-33k"]},
        "wide": {
            "budgets": ["full"],
            "datasets": ["wordnet-33k", "wordnet-114k"],
            "seeds": [1, 2],
            "values": {"fan_in": [8]},
        },
    },
    "cells": [
        {
            "methods": ["fixed_fan_in_set"],
            "axes": {"fan_in": {"key": "output.fan_in", "values": [16, 64]}},
        },
        {"scales": ["quick"], "methods": ["dense"], "budget": "smoke"},
    ],
}


def planned(config: Path, name: str = "sweep", **files: dict[str, Any]) -> list[Run]:
    for file, values in {"sweep": SWEEP, **files}.items():
        (config / "grids" / f"{file}.yaml").write_text(yaml.safe_dump(values))
    return Project(config).runs(name)


def identities(runs: list[Run]) -> list[tuple[str, str, str, int]]:
    return [(r.budget, r.dataset, r.method, r.seed) for r in runs]


def test_a_grid_goes_by_its_first_scale(config: Path) -> None:
    assert identities(planned(config)) == [
        ("smoke", "wordnet-33k", "fixed_fan_in_set@fan_in=16", 1),
        ("smoke", "wordnet-33k", "fixed_fan_in_set@fan_in=64", 1),
        ("quick", "wordnet-33k", "fixed_fan_in_set@fan_in=16", 1),
        ("quick", "wordnet-33k", "fixed_fan_in_set@fan_in=64", 1),
        ("smoke", "wordnet-33k", "dense", 1),
    ]


def test_another_scale_brings_its_own_data_seeds_and_values(config: Path) -> None:
    runs = planned(config, "sweep_wide")
    assert identities(runs) == [
        ("full", dataset, "fixed_fan_in_set@fan_in=8", seed)
        for dataset in ("wordnet-33k", "wordnet-114k")
        for seed in (1, 2)
    ]
    recipe = runs[0].recipe
    assert isinstance(recipe, TrainRecipe) and recipe.output.fan_in == 8


def test_a_grid_of_experiments_takes_each_at_its_own_scale(config: Path) -> None:
    other = {
        "shows": ["t6", "t5"],
        "scales": {"quick": {"budgets": ["smoke"], "datasets": ["wordnet-33k"]}},
        "cells": [{"methods": ["dense"], "seeds": [7]}],
    }
    both = {"extends": ["sweep", "other"], "scales": {"quick": None, "wide": None}}
    quick = planned(config, "both", other=other, both=both)
    assert len(quick) == 6 and identities(quick)[-1] == ("smoke", "wordnet-33k", "dense", 7)
    # `other` has no wide scale and stays out.
    assert identities(planned(config, "both_wide")) == identities(planned(config, "sweep_wide"))
    assert Project(config).shown_by("both") == ["t5", "t6"]
    with pytest.raises(ConfigError, match=r"key 'grid': unknown value 'bot'; allowed: .*both"):
        Project(config).shown_by("bot")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales": {}}, r"sweep\.yaml: key 'budget': a cell names none, and the grid has no scales"),
        ({"extends": "swoop"}, r"sweep\.yaml: key 'extends': unknown value 'swoop'; allowed: .*sweep"),
        ({"extends": ["sweep"]}, r"sweep\.yaml: key 'extends': 'sweep' extends itself in a circle"),
        ({"scales": {"quick": None}}, r"key 'budget': a cell names none, and scale 'quick' is empty"),
        (
            {"cells": [*SWEEP["cells"], {"methods": ["dense"], "scales": ["huge"]}]},
            r"key 'scales': unknown value 'huge'; allowed: quick, wide",
        ),
        (
            {"scales": {**SWEEP["scales"], "quick": {**SWEEP["scales"]["quick"], "values": {"fanin": [1]}}}},
            r"key 'values': scale 'quick': no cell has an axis 'fanin'; allowed: fan_in",
        ),
    ],
)
def test_mistakes_name_file_key_and_what_is_allowed(
    config: Path, change: dict[str, Any], message: str
) -> None:
    broken = {**SWEEP, **change}
    if change.get("scales") == {}:
        broken["cells"] = SWEEP["cells"][:1]
    with pytest.raises(ConfigError, match=message):
        planned(config, sweep=broken)


def test_a_scale_may_not_take_another_grids_name(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"'wide' makes the name sweep_wide, which is taken"):
        planned(config, sweep_wide={"cells": []})


def test_every_experiment_of_this_project_can_be_planned(project: Project) -> None:
    project.check()
    quick = {r.folder for r in project.runs("ablations")}
    assert quick <= {r.folder for r in project.runs("ablations_seeds")}
    assert {r.budget for r in project.runs("ablations_paper")} == {"paper"}


def axis_of(key: str) -> dict[str, Any]:
    """A cell that sweeps a key under the short name x."""
    cell = {"budget": "smoke", "datasets": ["wordnet-33k"], "methods": ["dense"]}
    return {**cell, "axes": {"x": {"key": key, "values": [0.1]}}}


def test_two_keys_under_one_short_name_are_not_one_run(config: Path) -> None:
    rate, dropout = axis_of("output_optimizer.learning_rate"), axis_of("encoder.dropout")
    told = r"'dense@x=0\.1' has two recipes \(encoder\.dropout: 0\.3 and 0\.1\), which would be one run; allowed: "
    with pytest.raises(ConfigError, match=rf"grids/both\.yaml: {told}"):
        planned(config, "both", both={"cells": [rate, dropout]})
    (config / "grids" / "both.yaml").unlink()
    planned(config, "first", first={"cells": [rate]}, second={"cells": [dropout]})
    with pytest.raises(ConfigError, match=rf"^grids first and second: {told}"):
        Project(config).check()
    planned(config, "first", first={"cells": [rate]}, second={"cells": [rate]})
    Project(config).check()
