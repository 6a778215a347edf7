"""`xmcbench check` looks at every file, also those that only single rules read."""

from pathlib import Path

import pytest

from xmcbench.errors import ConfigError
from xmcbench.whole_check import check_all

from ..conftest import ROOT, replace


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config.yaml", "grid: quick", "grids: quick", r"config\.yaml: unknown key 'grids'; allowed: grid, raw$"),
        ("config.yaml", "grid: quick", "grid: quik", r"config\.yaml: key 'grid': unknown value 'quik'; allowed: .*quick"),
        ("config.yaml", "raw: {}", "raw: {wiki: /data}", r"config\.yaml: key 'raw': unknown value 'wiki'; allowed: .*wiki10"),
        ("sources.tsv", "\nwiki10\t", "\nwiki\t", r"sources\.tsv: key 'dataset': unknown value 'wiki'; allowed: .*wiki10"),
        ("claims.yaml", "id: C2\n", "id: C1\n", r"claims\.yaml: .*claims of one id: C1$"),
        ("claims.yaml", "[fixed_fan_in_set_hinge]", "[fixed_fan_in_hinge]", r"claims\.yaml: claim C14: .*unknown methods: fixed_fan_in_hinge; allowed: "),
        ("grids/f5_width.yaml", "shows: [f5]", "shows: [f55]", r"f5_width\.yaml: key 'shows': unknown value 'f55'; allowed: .*f5"),
        ("paper_cost.yaml", "- dense\n", "- dens\n", r"paper_cost\.yaml: key 'methods': unknown value 'dens'; allowed: .*dense"),
    ],
)  # fmt: skip
def test_a_mistake_in_any_file_is_found(config: Path, file: str, old: str, new: str, message: str) -> None:
    replace(config / file, old, new)
    with pytest.raises(ConfigError, match=message):
        check_all(config)


def test_what_is_committed_passes() -> None:
    assert check_all(ROOT / "config").methods
