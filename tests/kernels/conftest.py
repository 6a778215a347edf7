"""Where there is no GPU, the GPU's kernels run in triton's interpreter."""

import os
from collections.abc import Iterator

import pytest
import torch

# Read when the kernels' modules are imported, which no test does while it is collected.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture
def device() -> torch.device:
    """The device on which the Triton kernels are tested."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(params=["atomic", "by_input"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways of the feature gradient; torch's own switch chooses the deterministic one."""
    torch.use_deterministic_algorithms(request.param == "by_input")
    yield request.param
    torch.use_deterministic_algorithms(False)
