"""The README's example runs as it stands and prints what it says."""

import re
import subprocess
import sys
from pathlib import Path

from ..conftest import ROOT


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def test_the_layer_in_a_users_own_model(tmp_path: Path) -> None:
    (example,) = (block for block in blocks("python") if "FixedFanIn" in block)
    (expected,) = (block for block in blocks("text") if block.startswith("loss"))
    (tmp_path / "example.py").write_text(example)
    ran = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    (loss, rest), (loss_said, rest_said) = (
        re.fullmatch(r"loss ([\d.]+)(;.*)", text.strip(), re.S).groups()  # type: ignore[union-attr]
        for text in (ran.stdout, expected)
    )
    assert rest == rest_said
    # The last digits of sums differ between instruction sets.
    assert abs(float(loss) - float(loss_said)) <= 0.02
