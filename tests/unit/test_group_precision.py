"""Precision of the auxiliary head over label groups, by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from xmcbench.data.store import Split
from xmcbench.training import group_precision as room
from xmcbench.training.auxiliary import AuxiliaryHead

# Labels 0 … 4 in groups 0, 0, 1, 2, 2. The last document has no label.
GROUP_L = torch.tensor([0, 0, 1, 2, 2])
LABELS = [[0, 1], [2], [2, 4], []]
# One token a document: its number, which the encoder below turns into scores of the groups.
SCORES = torch.tensor([[9.0, 1.0, 5.0], [9.0, 5.0, 1.0], [1.0, 9.0, 5.0], [0.0, 0.0, 0.0]])


class Reads(torch.nn.Module):
    def forward(self, token_T: torch.Tensor, offset_B: torch.Tensor) -> torch.Tensor:
        return SCORES[token_T]


def network_of(head: AuxiliaryHead | None) -> Any:
    network = torch.nn.Module()
    network.encoder, network.auxiliary = Reads(), head
    network.anchor = torch.nn.Parameter(torch.zeros(1))  # says which device
    return network


@pytest.fixture
def split() -> Split:
    sizes = [len(labels) for labels in LABELS]
    indptr = np.cumsum([0, *sizes])
    indices = np.array([label for labels in LABELS for label in labels])
    return SimpleNamespace(indices=indices, indptr=indptr, documents=4)  # type: ignore[return-value]


TOKENS = (np.arange(4), np.arange(5))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_by_hand(split: Split, batch_size: int) -> None:
    """Best groups 0, 0, 1 of documents that hold 0, 1, {1, 2}: two right; of the best two 1, 1 and 2 of six."""
    head = AuxiliaryHead(3, GROUP_L, seed=1)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(3))
    rows = room.group_precision(network_of(head), split, TOKENS, (1, 2, 5), batch_size)
    assert [(r["metric"], r["k"]) for r in rows] == [("group-P", 1), ("group-P", 2)], (
        "of 3 groups no 5 are ranked"
    )
    assert [r["value"] for r in rows] == pytest.approx([200 / 3, 400 / 6])


def test_without_a_head_or_labels_there_is_nothing_to_say(split: Split) -> None:
    assert room.group_precision(network_of(None), split, TOKENS, (1,), 2) == []
    split.indptr[:] = 0
    assert room.group_precision(network_of(AuxiliaryHead(3, GROUP_L, 1)), split, TOKENS, (1,), 2) == []
