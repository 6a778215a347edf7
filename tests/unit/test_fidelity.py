"""The fidelity presets and the page that documents them."""

import yaml

from ..conftest import ROOT


def test_fidelity_presets_differ_in_the_documented_keys_alone() -> None:
    presets = {
        name: {
            f"{section}.{key}": value
            for section, values in yaml.safe_load((ROOT / f"config/fidelity/{name}.yaml").read_text()).items()
            for key, value in values.items()
        }
        for name in ("printed", "official", "corrected")
    }
    table = {}
    for line in (ROOT / "docs" / "fidelity.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            table[cells[0].strip("`")] = dict(
                zip(("printed", "official", "corrected"), cells[1:4], strict=True)
            )
    differing = {
        key
        for keys in presets.values()
        for key in keys
        if len({str(preset.get(key)) for preset in presets.values()}) > 1
    }
    assert differing == set(table)
    for key, row in table.items():
        for name, shown in row.items():
            assert str(presets[name].get(key, "the method's")) == shown, (key, name)
