"""Layers and batches of odd shapes, drawn by hypothesis or given by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from xmcbench.kernels import operators, reference
from xmcbench.kernels.update import Update
from xmcbench.topology.distinct import distinct_inputs


@dataclass(frozen=True)
class Case:
    """One fixed fan-in layer with a batch. y_BL: 0/1 targets. group: labels that share a row of index_HK."""

    x_BD: Tensor
    weight_LK: Tensor
    index_HK: Tensor
    bias_L: Tensor
    y_BL: Tensor
    group: int = 1

    @property
    def index_LK(self) -> Tensor:
        """The inputs of every label."""
        return self.index_HK.to(torch.int32).repeat_interleave(self.group, dim=0)[: len(self.bias_L)]

    @property
    def layer(self) -> tuple[Tensor, Tensor, Tensor, int]:
        """What describes the layer to an operator."""
        return self.weight_LK, self.index_HK, self.bias_L, self.group

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """(label_P, row_P) sorted by label, then document."""
        label_P, row_P = self.y_BL.t().nonzero().unbind(1)
        return label_P.contiguous(), row_P.contiguous()

    def update(self, rule: str, parameter: Tensor, decay: float, seed: int = 0) -> Update:
        """An update in the middle of training: moments are not zero."""
        generator = torch.Generator().manual_seed(seed)

        def moment() -> Tensor:
            return torch.rand(parameter.shape, generator=generator).to(parameter.device)

        return Update(
            rule,
            rate=0.05,
            decay=decay,
            momentum=0.9 if rule == "momentum" else 0.0,
            step=3,
            first=None if rule == "sgd" else moment(),
            second=moment() if rule == "adamw" else None,
        )


def make(
    documents: int,
    features: int,
    labels: int,
    fan_in: int,
    seed: int = 0,
    positive_share: float = 0.1,
    weight_dtype: torch.dtype = torch.float32,
    index_dtype: torch.dtype = torch.uint16,
    group: int = 1,
) -> Case:
    generator = torch.Generator().manual_seed(seed)
    return Case(
        torch.randn(documents, features, generator=generator),
        (torch.randn(labels, fan_in, generator=generator) * 0.5).to(weight_dtype),
        distinct_inputs(-(-labels // group), features, fan_in, generator).to(index_dtype),
        torch.randn(labels, generator=generator) * 0.3,
        torch.rand(documents, labels, generator=generator) < positive_share,
        group,
    )


@st.composite
def odd_cases(draw: st.DrawFn, groups: Sequence[int] = (1, 1, 2, 3, 7, 16, 50)) -> Case:
    features = draw(st.integers(1, 70))
    return make(
        documents=draw(st.integers(1, 140)),
        features=features,
        labels=draw(st.one_of(st.integers(1, 40), st.integers(1020, 2100))),
        fan_in=draw(st.integers(1, features)),
        seed=draw(st.integers(0, 1000)),
        positive_share=draw(st.sampled_from([0.0, 0.02, 0.5])),
        weight_dtype=draw(st.sampled_from([torch.float32, torch.bfloat16])),
        index_dtype=draw(st.sampled_from([torch.uint16, torch.int32])),
        group=draw(st.sampled_from(groups)),
    )


def truth(
    case: Case, loss: str, rule: str, decay: float = 0.1, label_weight: torch.Tensor | None = None
) -> dict[str, object]:
    """Return what the reference makes of a case."""
    weight, bias = case.weight_LK.float().clone(), case.bias_L.clone()
    updates = case.update(rule, weight, decay), case.update(rule, bias, 0.03, seed=1)
    step = reference.train_step(
        case.x_BD, weight, case.index_LK, bias, case.y_BL.float(), loss, *updates, 0.7, label_weight
    )
    found = {"grad_x": step["grad_x_BD"], "weight": weight, "bias": bias, "loss": step["loss"]}
    found |= {"zeros": round(step["zero_share"] * case.y_BL.numel())}
    return found | _moments(*updates)


def fused(
    case: Case,
    loss: str,
    rule: str,
    *,
    decay: float = 0.1,
    key: int = 5,
    label_weight: Tensor | None = None,
    pairs: tuple[Tensor, Tensor] | None = None,
    backend: str = "auto",
) -> dict[str, object]:
    """Return what the fused step of a backend makes of a case."""
    weight, bias = case.weight_LK.clone(), case.bias_L.clone()
    updates = case.update(rule, weight, decay), case.update(rule, bias, 0.03, seed=1)
    grad_x_DB, value, zeros, skipped, bad = operators.train_step(
        case.x_BD.t(),
        weight,
        case.index_HK,
        bias,
        *(pairs or case.pairs),
        *updates,
        loss=loss,
        group=case.group,
        scale=0.7,
        label_weight_L=label_weight,
        key=key,
        backend=backend,
    )
    found = {"grad_x": grad_x_DB.t(), "weight": weight, "bias": bias, "loss": value, "zeros": zeros}
    return found | {"skipped": skipped, "bad": bad} | _moments(*updates)


def assert_refused(
    case: Case, pairs: tuple[Tensor, Tensor], error: type[Exception], said: str, backend: str = "auto"
) -> None:
    """The fused step of a backend refuses this batch, and nothing of the layer or of its moments moves."""
    weight, bias = case.weight_LK.clone(), case.bias_L.clone()
    updates = case.update("adamw", weight, 0.1), case.update("adamw", bias, 0.1)
    moments = [m.clone() for u in updates for m in (u.first, u.second) if m is not None]
    with pytest.raises(error, match=said):
        operators.train_step(
            case.x_BD.t(), weight, case.index_HK, bias, *pairs, *updates, loss="bce", backend=backend
        )
    assert torch.equal(weight, case.weight_LK) and torch.equal(bias, case.bias_L)
    after = [m for u in updates for m in (u.first, u.second) if m is not None]
    assert all(torch.equal(a, b) for a, b in zip(moments, after, strict=True))


def _moments(weight: Update, bias: Update) -> dict[str, object]:
    return {
        f"{name}.{kind}": getattr(update, kind)
        for name, update in (("weight", weight), ("bias", bias))
        for kind in ("first", "second")
    }


def assert_bits(ours: dict[str, object], theirs: dict[str, object], about: object) -> None:
    """Every number of a step is the other one's, to the bit."""
    for key, value in theirs.items():
        same = torch.equal(value, ours[key]) if isinstance(value, torch.Tensor) else value == ours[key]
        assert same, (about, key)


def assert_same(ours: dict[str, object], theirs: dict[str, object], case: Case) -> None:
    """Every number of a step is near the truth's, as near as its dtype allows."""
    for name, expected in theirs.items():
        found = ours[name]
        if isinstance(expected, torch.Tensor):
            assert isinstance(found, torch.Tensor)
            narrow = name == "weight" and case.weight_LK.dtype == torch.bfloat16
            tolerance = {"rtol": 2**-7, "atol": 1e-4} if narrow else {"rtol": 1e-4, "atol": 2e-5}
            torch.testing.assert_close(
                found.float(), expected, **tolerance, msg=lambda m, n=name: f"{n}: {m}"
            )
        elif name == "zeros":
            # A score on the hinge's very edge may fall to either side.
            assert abs(found - expected) <= 1 + case.y_BL.numel() // 1000
        elif expected is not None:
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
