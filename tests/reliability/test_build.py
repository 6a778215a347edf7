"""A package built from what git tracks has everything; without a working compiler it works, and says once why it is slower.

One build serves all tests: the kernels are compiled where the tests are installed, not a second time here.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ..conftest import ROOT

USE = """
import warnings
import torch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from xmcbench.kernels import native
    from xmcbench.output import FixedFanIn
    from xmcbench.positives import Positives
    from xmcbench.training.losses import BinaryCrossEntropy
    import xmcbench
    assert xmcbench.__file__.startswith({folder!r}), xmcbench.__file__
    head = FixedFanIn(8, 50, fan_in=3)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    positives = Positives(4, torch.arange(4), torch.arange(4))
    losses = [
        head.train_step(torch.ones(4, 8), positives, loss=BinaryCrossEntropy(), optimizer=optimizer).loss
        for _ in range(5)
    ]
    head.top_k(torch.ones(4, 8), 3)
    assert native() is None and losses[-1] < losses[0]
print([str(w.message) for w in caught])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built where the compiler fails."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), str(source)]
    built = subprocess.run(
        command, env={**os.environ, "CXX": "/bin/false"}, capture_output=True, text=True, timeout=600
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = place.glob("*.whl")
    return wheel


def test_the_wheel_carries_the_embedded_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for folder, suffix in (("data/embedded", ".xz"), ("reporting", ".j2")):
        ours = {f.name for f in (ROOT / "src/xmcbench" / folder).rglob(f"*{suffix}")}
        assert ours and {n.rsplit("/", 1)[1] for n in names if n.endswith(suffix)} >= ours


def test_without_a_compiler_the_package_works(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(folder)
    # -S leaves out the editable install of this checkout, whose finder would come first.
    packages = [p for p in sys.path if p.endswith("-packages")]
    ran = subprocess.run(
        [sys.executable, "-S", "-c", USE.format(folder=str(folder))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *packages])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.strip()
    assert said.count("built without its CPU kernels") == 1, said
