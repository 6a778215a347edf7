"""Cases for the Triton kernels, the fused step on one, and its comparison with the truth."""

import dataclasses
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

from xmcbench.kernels.triton import shapes

from . import cases
from .cases import Case, make

NARROW, WIDE = torch.bfloat16, torch.float32
#: bfloat16 products (groups of eight labels and more) exist on a GPU only; the interpreter multiplies in float32.
TOLERANCE = {WIDE: {"rtol": 1e-4, "atol": 2e-5}, NARROW: {"rtol": 2**-7, "atol": 1e-4}}
ON_GPU = torch.cuda.is_available()
EXAMPLES = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

fused = partial(cases.fused, backend="triton")


@st.composite
def small_cases(draw: st.DrawFn) -> Case:
    features, group = draw(st.integers(1, 40)), draw(st.sampled_from([1, 1, 2, 7, 8, 16, 20, 40]))
    return make(
        documents=draw(st.sampled_from([1, 5, 31, 33, 64, 70])),
        features=features,
        labels=draw(st.integers(1, 12 if group < 8 else 60)),
        fan_in=draw(st.integers(1, features)),
        seed=draw(st.integers(0, 1000)),
        positive_share=draw(st.sampled_from([0.0, 0.02, 0.5])),
        weight_dtype=draw(st.sampled_from([WIDE, NARROW])),
        index_dtype=draw(st.sampled_from([torch.uint16, torch.int32])),
        group=group,
    )


ODD = [
    make(5, 13, 33, 5),
    make(5, 13, 33, 5, group=7, weight_dtype=NARROW),
    make(5, 13, 33, 5, group=9, positive_share=0.5),
    make(40, 33, 40, 33, group=20, weight_dtype=NARROW),
    make(33, 6, 1, 6),
    make(1, 3, 2, 1, positive_share=0.0, index_dtype=torch.int32),
    make(70, 70, 60, 40, group=40),
    make(600, 5, 3, 4),
]


def moved(case: Case, device: torch.device) -> Case:
    """The same case on a device."""
    tensors = {
        field.name: value.to(device)
        for field in dataclasses.fields(case)
        if isinstance(value := getattr(case, field.name), Tensor)
    }
    return dataclasses.replace(case, **tensors)


def assert_same(ours: dict[str, object], theirs: dict[str, object], case: Case) -> None:
    products = ON_GPU and case.group >= shapes.ENOUGH_LABELS and case.weight_LK.dtype == NARROW
    for name, expected in theirs.items():
        found = ours[name]
        if isinstance(expected, Tensor):
            assert isinstance(found, Tensor)
            tolerance = dict(TOLERANCE[case.weight_LK.dtype if name == "weight" else WIDE])
            if products:
                # A sum may cancel: its error goes with its terms, of which the largest element tells the size.
                largest = max(1.0, float(expected.abs().max()))
                tolerance = {"rtol": 2e-2, "atol": 2e-2 * largest}
            torch.testing.assert_close(
                found.float().cpu(), expected, **tolerance, msg=lambda m, n=name: f"{n}: {m}"
            )
        elif name == "zeros":
            # A score on the hinge's very edge may fall to either side.
            assert abs(found - expected) <= 1 + case.y_BL.numel() // (100 if products else 1000)
        elif expected is not None:
            assert found == pytest.approx(expected, rel=2e-2 if products else 1e-4, abs=1e-5)
