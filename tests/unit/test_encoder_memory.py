"""What the encoder keeps for its backward pass: VeLoRA and activation checkpointing against the plain layer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xmcbench.encoder import build
from xmcbench.encoder.bag import Bag
from xmcbench.encoder.velora import VeloraLinear, compress
from xmcbench.errors import ConfigError
from xmcbench.recipe import Encoder, Velora


def pair(inputs: int, outputs: int, sub_tokens: int) -> tuple[nn.Linear, VeloraLinear]:
    plain = nn.Linear(inputs, outputs)
    twin = nn.Linear(inputs, outputs)
    twin.load_state_dict(plain.state_dict())
    return plain, VeloraLinear(twin, sub_tokens)


@given(
    sub_tokens=st.integers(1, 6), size=st.integers(1, 5), outputs=st.integers(1, 7), rows=st.integers(1, 8)
)
@settings(max_examples=40, deadline=None)
def test_output_and_input_gradient_are_exact(sub_tokens: int, size: int, outputs: int, rows: int) -> None:
    plain, compressed = pair(sub_tokens * size, outputs, sub_tokens)
    x = torch.randn(2, rows, sub_tokens * size)
    ours, theirs = (x.clone().requires_grad_(True) for _ in range(2))
    weight = torch.randn(2, rows, outputs)
    (compressed(ours) * weight).sum().backward()
    (plain(theirs) * weight).sum().backward()
    torch.testing.assert_close(compressed(x), plain(x))
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert compressed.bias.grad is not None and plain.bias.grad is not None
    torch.testing.assert_close(compressed.bias.grad, plain.bias.grad)


def test_the_weight_gradient_is_that_of_the_projected_input_by_hand() -> None:
    _, layer = pair(4, 1, 2)
    layer.eval()
    layer.basis_S.copy_(torch.tensor([0.6, 0.8]))
    layer(torch.tensor([[1.0, 2.0, 5.0, 0.0]])).sum().backward()
    # Sub-tokens (1, 2) and (5, 0): products 2.2 and 3.0 with the basis.
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[1.32, 1.76, 1.8, 2.4]]))


def test_inputs_along_the_basis_lose_nothing() -> None:
    plain, compressed = pair(12, 5, 3)
    direction_S = torch.tensor([1.0, -2.0, 0.5, 3.0])
    x = (torch.rand(7, 3, 1) + 0.1) * direction_S
    for layer in (plain, compressed):
        layer(x.flatten(1)).square().sum().backward()
    assert compressed.weight.grad is not None and plain.weight.grad is not None
    torch.testing.assert_close(compressed.weight.grad, plain.weight.grad)


def test_the_basis_is_the_first_batchs_mean_and_stays() -> None:
    _, layer = pair(4, 2, 2)
    layer(torch.tensor([[3.0, 0.0, 3.0, 8.0]]))
    torch.testing.assert_close(layer.basis_S, torch.tensor([0.6, 0.8]))
    layer(torch.randn(9, 4))
    torch.testing.assert_close(layer.basis_S, torch.tensor([0.6, 0.8]))
    again = pair(4, 2, 2)[1]
    again.load_state_dict(layer.state_dict())
    again(torch.randn(9, 4))
    assert torch.equal(again.basis_S, layer.basis_S), "a resumed run chose another basis"
    _, empty = pair(4, 2, 2)
    empty(torch.zeros(3, 4))
    assert float(empty.basis_S.norm()) == pytest.approx(1.0)


def saved_bytes(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Bytes that the backward pass keeps, weights left out."""
    weights = {p.data_ptr() for p in module.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            saved[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        module(*inputs)
    return sum(saved.values())


def test_a_compressed_layer_keeps_as_much_less_as_a_sub_token_is_long() -> None:
    plain, compressed = pair(96, 10, 4)
    x = torch.randn(50, 96, requires_grad=True)
    assert saved_bytes(plain, x) == 50 * 96 * 4
    assert saved_bytes(compressed, x) == 50 * 4 * 4 + 24 * 4  # a number a sub-token, and the basis


def bag(checkpointing: bool) -> Bag:
    torch.manual_seed(0)
    return Bag(torch.randn(30, 8), torch.ones(30), 64, checkpointing)


def test_checkpointing_trains_to_the_same_numbers_and_keeps_less() -> None:
    token_T, offset_B = torch.arange(20), torch.tensor([0, 5, 11])
    plain, again = bag(False), bag(True)
    for encoder in (plain, again):
        encoder(token_T, offset_B).square().sum().backward()
    for ours, theirs in zip(again.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert torch.equal(ours.grad.to_dense(), theirs.grad.to_dense())
    assert saved_bytes(bag(True), token_T, offset_B) < saved_bytes(bag(False), token_T, offset_B)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"layers": ["hiden"]}, r"no linear layer 'hiden'; allowed: hidden, residual"),
        (
            {"layers": ["hidden"], "sub_tokens": 7},
            r"7 does not divide the 384 inputs of hidden; allowed: a divisor",
        ),
    ],
)
def test_a_wrong_layer_or_cut_is_refused(keys: dict[str, object], message: str) -> None:
    recipe = Encoder(velora=Velora.model_validate({"sub_tokens": 4, **keys}))
    with pytest.raises(ConfigError, match=message):
        build(recipe, 30522, 0, lambda: np.ones(30522))


def test_names_fit_by_their_end() -> None:
    model = nn.ModuleDict(
        {"a": nn.ModuleDict({"value": nn.Linear(4, 4), "key": nn.Linear(4, 4)}), "value": nn.Linear(4, 4)}
    )
    compress(model, Velora(layers=("value",), sub_tokens=2))
    kinds = {name: type(part).__name__ for name, part in model.named_modules() if hasattr(part, "weight")}
    assert kinds == {"a.value": "VeloraLinear", "a.key": "Linear", "value": "VeloraLinear"}


def test_dropped_tokens_are_drawn_in_training_alone_and_the_rest_weigh_more() -> None:
    torch.manual_seed(0)
    encoder = Bag(torch.eye(8), torch.ones(8), 4, token_dropout=0.5)
    token_T, offset_B = torch.arange(8), torch.tensor([0, 4])
    seen: list[torch.Tensor] = []
    encoder.hidden.register_forward_pre_hook(lambda m, given: seen.append(given[0].detach()))
    for _ in range(50):
        encoder(token_T, offset_B)
    bags = torch.stack(seen)
    kept = (bags > 0).sum(dim=2)
    assert set(kept.unique().tolist()) == {0, 1, 2, 3, 4}
    totals = bags.sum(dim=2)
    torch.testing.assert_close(totals[kept > 0], torch.ones(int((kept > 0).sum())))
    assert bool((totals[kept == 0] == 0).all())
    encoder.eval()
    encoder(token_T, offset_B)
    assert torch.equal(seen[-1], torch.cat([torch.eye(8)[:4].mean(0)[None], torch.eye(8)[4:].mean(0)[None]]))
