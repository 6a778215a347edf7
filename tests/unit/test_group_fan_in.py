"""Group-shared fan-in: what makes it differ from fixed fan-in, and that it is the same where it must be."""

import pytest
import torch

from xmcbench.errors import ConfigError
from xmcbench.kernels import rewiring
from xmcbench.output import FixedFanIn, build
from xmcbench.output.group_fan_in import GroupFanIn
from xmcbench.positives import Positives
from xmcbench.recipe import Output
from xmcbench.recipe import Topology as TopologyRecipe
from xmcbench.topology import Topology
from xmcbench.training.losses import BinaryCrossEntropy

EVERY_STEP = TopologyRecipe(interval_steps=1, end_share=1.0, fraction=0.5)


def as_fixed(grouped: GroupFanIn) -> FixedFanIn:
    """A fixed fan-in layer that says the same: every label with a copy of its group's inputs."""
    fixed = FixedFanIn(grouped.features, grouped.labels, fan_in=grouped.fan_in, backend=grouped.backend)
    with torch.no_grad():
        for name, parameter in fixed.named_parameters():
            parameter.copy_(grouped.get_parameter(name))
        rows = grouped.index.to(torch.int32).repeat_interleave(grouped.group, dim=0)[: grouped.labels]
        fixed.index.copy_(rows.to(fixed.index.dtype))
    return fixed


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize(("labels", "group"), [(23, 4), (23, 64), (3000, 16), (16, 16)])
def test_a_group_is_labels_with_the_same_inputs(labels: int, group: int, backend: str) -> None:
    grouped = GroupFanIn(11, labels, fan_in=5, group=group, initial_range=0.5, backend=backend)
    fixed = as_fixed(grouped)
    ends = []
    for layer in (grouped, fixed):
        generator = torch.Generator().manual_seed(1)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.05, weight_decay=0.1)
        for _ in range(3):
            x_BD = torch.randn(9, 11, generator=generator)
            row_P, label_P = (torch.rand(9, labels, generator=generator) < 0.1).nonzero().unbind(1)
            positives = Positives(9, row_P, label_P)
            result = layer.train_step(x_BD, positives, loss=BinaryCrossEntropy(), optimizer=optimizer)
        ends.append((layer(x_BD), result, layer.top_k(x_BD, 4)))
    for ours, theirs in zip(grouped.parameters(), fixed.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-5)
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ends[0][1].grad_x_BD, ends[1][1].grad_x_BD, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ends[0][2][0], ends[1][2][0], rtol=1e-4, atol=1e-4)
    assert ends[0][1].loss == pytest.approx(ends[1][1].loss, rel=1e-5)


def test_a_rewire_drops_what_is_small_on_average_over_the_group() -> None:
    layer = GroupFanIn(6, 5, fan_in=2, group=3)
    with torch.no_grad():
        layer.index.copy_(torch.tensor([[1, 4], [0, 2]]).to(torch.uint16))
        # Input 1: mean |w| 2/3; input 4: 1. Input 0: 3 over the two labels of a short group; input 2: 2.
        layer.weight_LK.copy_(torch.tensor([[0.0, 1], [2, 1], [0, -1], [3, 2], [-3, -2]]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    optimizer.state[layer.weight_LK]["momentum_buffer"] = layer.weight_LK.detach() * 10
    before = layer.weight_LK.detach().clone()
    report = layer.rewire(Topology(EVERY_STEP, 10, seed=0), 1, optimizer)
    layer.check_invariants()
    assert report.pruned == report.regrown == 5
    rows, weight = layer.index.tolist(), layer.weight_LK.detach()
    moment = optimizer.state[layer.weight_LK]["momentum_buffer"]
    assert 4 in rows[0] and 1 not in rows[0] and 0 in rows[1] and 2 not in rows[1]
    for group, (kept, slot, labels) in enumerate([(4, 1, [0, 1, 2]), (0, 0, [3, 4])]):
        now = rows[group].index(kept)
        for label in labels:
            assert float(weight[label, now]) == float(before[label, slot])
            assert float(moment[label, now]) == 10 * float(before[label, slot])
            assert float(weight[label, 1 - now]) == float(moment[label, 1 - now]) == 0


def test_the_index_is_a_gth_of_that_of_fixed_fan_in() -> None:
    grouped, fixed = GroupFanIn(20, 160, fan_in=6, group=16), FixedFanIn(20, 160, fan_in=6)
    assert grouped.memory()["index"] * 16 == fixed.memory()["index"]
    assert grouped.memory()["weight"] == fixed.memory()["weight"]
    assert grouped.sparsity() == fixed.sparsity()


def test_the_rewiring_operator_is_sound() -> None:
    for layer in (GroupFanIn(20, 103, fan_in=6, group=16), FixedFanIn(20, 30, fan_in=6)):
        index = layer.index.to(torch.int64)
        source = torch.randint(0, 6, index.shape)
        weight = layer.weight_LK.detach()
        arguments = (weight, layer.index, [torch.zeros_like(weight)], index, source, source > 3, layer.group)
        torch.library.opcheck(rewiring.rewire, arguments)


def test_the_size_of_a_group_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"output\.group: missing; output\.kind group_fan_in needs it"):
        build(8, 8, Output(kind="group_fan_in", fan_in=2), torch.Generator())
