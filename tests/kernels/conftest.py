"""Where there is no GPU, the GPU's kernels run in triton's interpreter."""

import os

import pytest
import torch

# Read when the kernels' modules are imported, which no test does while it is collected.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture
def device() -> torch.device:
    """The device on which the Triton kernels are tested."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
