"""The kernels as torch operators, and the layer as an ordinary module on a user's own model."""

import copy
import os
import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from xmcbench.errors import ConfigError, KernelError, NonFiniteError, ShapeError
from xmcbench.kernels import choose, dispatch, operators, reference
from xmcbench.kernels.update import Update, update_of
from xmcbench.output import FixedFanIn, build
from xmcbench.output.layer import GrowthBatch
from xmcbench.positives import Positives
from xmcbench.recipe import Topology as TopologyRecipe
from xmcbench.topology import Topology
from xmcbench.training.losses import LOSSES

from ..recipes import output_of
from .cases import make

BACKENDS = ["torch"] + (["cpu"] if choose("auto", torch.device("cpu"), torch.float32) == "cpu" else [])
#: The GPU's kernels run on the CPU where `conftest.py` has switched the interpreter on; slowly, so only in small tests.
ALL = BACKENDS + (["triton"] if os.environ.get("TRITON_INTERPRET") == "1" else [])


@pytest.mark.parametrize("group", [1, 5])
@pytest.mark.parametrize("backend", ALL)
def test_opcheck_finds_nothing(backend: str, group: int) -> None:
    case = make(6, 9, 12, 4, group=group)
    arguments = (case.x_BD.t().contiguous(), case.weight_LK, case.index_HK, case.bias_L)
    with_grad = tuple(t.clone().requires_grad_(t.is_floating_point()) for t in arguments)
    torch.library.opcheck(operators.scores, (*with_grad, group, backend))
    z_LB = operators.scores(*arguments, group, backend)
    torch.library.opcheck(operators.scores_backward, (z_LB, *arguments, group, backend))


@pytest.mark.parametrize("backend", [b for b in ALL if b != "torch"])
def test_opcheck_of_the_operators_that_torch_has_not(backend: str) -> None:
    case = make(6, 9, 12, 4)
    x_DB = case.x_BD.t().contiguous()
    torch.library.opcheck(operators.top_k, (x_DB, *case.layer, 3, backend))
    moments = [torch.zeros(12, 4), torch.zeros(12, 4), torch.zeros(12), torch.zeros(12)]
    numbers = [0.1, 0.0, 0.1, 0.0, 0.0, 0.9, 0.999, 1e-8, 0.1, 0.001]
    rest = (*case.layer, *moments, *case.pairs, None, 0, 1.0, 2, numbers, 0, backend)
    for features_DB in (x_DB, x_DB.bfloat16(), case.x_BD.t()):
        torch.library.opcheck(operators._train_step, (features_DB, *rest))


@pytest.mark.parametrize("backend", [b for b in ALL if b != "torch"])
def test_autograd_notices_that_a_fused_step_moved_what_it_had_kept(backend: str) -> None:
    case = make(6, 9, 12, 4)
    weight_LK, index_LK, bias_L = case.layer[:3]
    weight_LK = weight_LK.clone().requires_grad_(True)
    kept = weight_LK.square().sum()
    settings = Update("sgd", rate=0.1), Update("sgd", rate=0.1)
    with torch.no_grad():
        operators.train_step(
            case.x_BD.t(), weight_LK, index_LK, bias_L, *case.pairs, *settings, loss="bce", backend=backend
        )
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.backward()


@pytest.mark.parametrize("group", [1, 3])
def test_the_backward_pass_of_the_torch_backend_is_right_in_fp64(group: int) -> None:
    case = make(3, 7, 5, 4, group=group)
    inputs = [t.double().requires_grad_(True) for t in (case.x_BD.t(), case.weight_LK, case.bias_L)]
    assert torch.autograd.gradcheck(
        lambda x, w, b: operators.scores(x, w, case.index_HK, b, group, "torch"), inputs
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_ordinary_module_on_a_users_own_model(backend: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), FixedFanIn(20, 300, fan_in=6, backend=backend))
    x, y = torch.randn(16, 5), (torch.rand(16, 300) < 0.05).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for step in range(30):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if step == 10:
            report = model[2].rewire(step=step, optimizer=optimizer)
            assert report.pruned == report.regrown > 0
            model[2].check_invariants()
    assert losses[-1] < 0.5 * losses[0]

    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other[2].index_LK.zero_()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


def test_the_module_may_be_loaded_again() -> None:
    """As notebooks do; in a process of its own, because the old operators are gone then."""
    code = (
        "import importlib; from xmcbench.kernels import operators; importlib.reload(operators); print('well')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == "well\n", found.stderr


def test_compiles_without_a_graph_break_and_follows_autocast() -> None:
    layer = FixedFanIn(20, 300, fan_in=6)
    x = torch.randn(16, 20, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        z = compiled(x)
    torch.testing.assert_close(z, layer(x))
    z.square().sum().backward()
    assert x.grad is not None and bool(x.grad.any())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("kind", ["fixed_fan_in", "group_fan_in", "dense_chunked"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adamw"])
def test_streaming_is_materialising(kind: str, loss: str, rule: str) -> None:
    """Three steps of the streaming layer, with either backend, are three steps of autograd."""
    settings = {"fan_in": 5, "chunk": 7, "initial_range": 0.5, "group": 9 if kind == "group_fan_in" else None}
    plain = "dense" if kind == "dense_chunked" else kind
    layers = [
        build(13, 33, output_of(plain, scores="materialise", **settings), torch.Generator().manual_seed(1))
    ]
    for backend in ALL:
        recipe = output_of(kind, backend=backend, **settings)
        layers.append(build(13, 33, recipe, torch.Generator().manual_seed(1)))
    ends = []
    for layer in layers:
        make_optimizer = {
            "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
            "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
            "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
        }[rule]
        optimizer = make_optimizer(layer.parameters())
        generator = torch.Generator().manual_seed(2)
        for _ in range(3):
            x_BD = torch.randn(9, 13, generator=generator)
            row_P, label_P = (torch.rand(9, 33, generator=generator) < 0.1).nonzero().unbind(1)
            positives = Positives(9, row_P, label_P)
            result = layer.train_step(x_BD, positives, loss=LOSSES[loss](), optimizer=optimizer, scale=0.6)
        ends.append((layer, result))
    truth, first = ends[0]
    for layer, result in ends[1:]:
        for (name, ours), theirs in zip(layer.named_parameters(), truth.parameters(), strict=True):
            assert ours.grad is None
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-5, msg=lambda m, n=name: f"{n}: {m}")
        torch.testing.assert_close(result.grad_x_BD, first.grad_x_BD, rtol=1e-4, atol=1e-5)
        assert result.loss == pytest.approx(first.loss, rel=1e-5)
        assert result.zero_share == pytest.approx(first.zero_share, abs=0.01)


@pytest.mark.parametrize("kind", ["fixed_fan_in", "dense_chunked"])
def test_bfloat16_weights_train_and_stay_near_float32(kind: str) -> None:
    ends = []
    for dtype in ("float32", "bfloat16"):
        recipe = output_of(kind, fan_in=5, chunk=7, initial_range=0.5, weight_dtype=dtype)
        layer = build(13, 33, recipe, torch.Generator().manual_seed(1))
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01)
        generator = torch.Generator().manual_seed(2)
        for _ in range(20):
            x_BD = torch.randn(9, 13, generator=generator)
            row_P, label_P = (torch.rand(9, 33, generator=generator) < 0.1).nonzero().unbind(1)
            layer.train_step(x_BD, Positives(9, row_P, label_P), loss=LOSSES["bce"](), optimizer=optimizer)
        ends.append(next(p for p in layer.parameters() if p.dim() == 2).detach())
        assert all(s["exp_avg"].dtype == torch.float32 for s in optimizer.state.values())
    assert ends[1].dtype == torch.bfloat16 and ends[1].element_size() * 2 == ends[0].element_size()
    assert float((ends[1].float() - ends[0]).abs().mean()) < 0.02


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("loss", ["bce", "squared_hinge"])
def test_a_layer_of_bfloat16_features_is_one_that_reads_them_rounded(loss: str, backend: str) -> None:
    """Of a step, scores, predictions, growth and the gradient of the features, which is not rounded."""
    generator = torch.Generator().manual_seed(2)
    x_BD = torch.randn(9, 13, generator=generator)
    rounded_BD = x_BD.bfloat16().float()
    assert not torch.equal(x_BD, rounded_BD)
    row_P, label_P = (torch.rand(9, 33, generator=generator) < 0.1).nonzero().unbind(1)
    ends = []
    for dtype, given_BD in (("bfloat16", x_BD), ("float32", rounded_BD)):
        layer = FixedFanIn(13, 33, fan_in=5, initial_range=0.5, backend=backend, feature_dtype=dtype)
        assert layer.weight_LK.dtype == torch.float32
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.05)
        positives = Positives(9, row_P, label_P)
        result = layer.train_step(given_BD, positives, loss=LOSSES[loss](), optimizer=optimizer)
        batch = GrowthBatch(given_BD, positives, LOSSES[loss]())
        grown = Topology(TopologyRecipe(grow="gradient_growth"), total_steps=10, seed=1)
        layer.rewire(grown, 1, optimizer, batch)
        with_grad_BD = given_BD.clone().requires_grad_(True)
        z_BL = layer(with_grad_BD)
        z_BL.square().sum().backward()
        ends.append((*layer.state_dict().values(), result.grad_x_BD, z_BL, with_grad_BD.grad))
        ends[-1] += layer.top_k(given_BD, 4)
        assert result.grad_x_BD.dtype == torch.float32
    for ours, theirs in zip(*ends, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_features_of_an_encoder_under_autocast(dtype: torch.dtype, backend: str) -> None:
    """They are taken as the numbers that they are; the gradient comes back in their dtype, for `backward`."""
    ends = []
    for narrow in (True, False):
        layer = FixedFanIn(16, 200, fan_in=4, backend=backend)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
        torch.manual_seed(0)
        x_BD = torch.randn(8, 16).to(dtype)
        x_BD = (x_BD if narrow else x_BD.float()).requires_grad_(True)
        pairs = Positives(8, torch.arange(8), torch.arange(8))
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            result = layer.train_step(x_BD, pairs, loss=LOSSES["bce"](), optimizer=optimizer)
        x_BD.backward(result.grad_x_BD)
        assert result.grad_x_BD.dtype == x_BD.dtype and x_BD.grad is not None
        ends.append((layer.weight_LK.detach(), layer.bias_L.detach(), x_BD.grad.to(dtype)))
    for ours, theirs in zip(*ends, strict=True):
        assert torch.equal(ours, theirs)


def _as_views(layer: FixedFanIn) -> None:
    layer.weight_LK.data = layer.weight_LK.data.t().contiguous().t()
    layer.index_LK = layer.index_LK.t().contiguous().t()
    layer.bias_L.data = layer.bias_L.data.repeat_interleave(2)[::2]


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize(
    "change", [_as_views, lambda layer: layer.bfloat16()], ids=["views", "all in bfloat16"]
)
def test_a_layer_that_kernels_cannot_move_is_moved_all_the_same(
    change: Callable[[FixedFanIn], object], rule: type[torch.optim.Optimizer]
) -> None:
    """They were given copies once, which moved in place of the layer's own bias or weights."""
    torch.manual_seed(0)
    plain, other = (FixedFanIn(16, 200, fan_in=4) for _ in range(2))
    change(other)
    x_BD, pairs = torch.randn(8, 16), Positives(8, torch.arange(8), torch.arange(8))
    narrow = other.bias_L.dtype == torch.bfloat16
    tolerance = {"rtol": 0.02, "atol": 0.02} if narrow else {"rtol": 1e-5, "atol": 1e-6}

    def assert_alike(ours: Tensor | None, theirs: Tensor | None) -> None:
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours.float(), theirs, **tolerance)

    for layer in (plain, other):
        layer(x_BD).square().mean().backward()
    assert_alike(other.weight_LK.grad, plain.weight_LK.grad)
    assert_alike(other.bias_L.grad, plain.bias_L.grad)
    before = other.bias_L.detach().float().clone()
    for layer in (plain, other):
        layer.train_step(x_BD, pairs, loss=LOSSES["bce"](), optimizer=rule(layer.parameters(), lr=0.5))
    assert_alike(other.weight_LK.detach(), plain.weight_LK.detach())
    assert_alike(other.bias_L.detach(), plain.bias_L.detach())
    assert bool((other.bias_L != before).any())
    assert_alike(other.top_k(x_BD, 3)[0], plain.top_k(x_BD, 3)[0])


def test_the_fused_step_refuses_what_it_cannot_move() -> None:
    layer = FixedFanIn(16, 200, fan_in=4)
    _as_views(layer)
    none, sgd = torch.empty(0, dtype=torch.int64), Update("sgd", rate=0.1)
    for tensors in (
        (layer.weight_LK, layer.index_LK.contiguous(), torch.zeros(200)),
        (layer.weight_LK.contiguous(), layer.index_LK.contiguous(), torch.zeros(200, dtype=torch.bfloat16)),
    ):
        with pytest.raises(KernelError, match="moves contiguous weights and a contiguous bias of float32"):
            operators.train_step(torch.randn(16, 8), *tensors, none, none, sgd, sgd, loss="bce")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", ["features", "pairs"])
def test_a_step_that_is_refused_is_not_counted(bad: str, backend: str) -> None:
    """Else AdamW's next step would take its moments for older than they are."""
    layer = FixedFanIn(8, 20, fan_in=4, backend=backend)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    x_BD, wrong_BD = torch.ones(4, 8), torch.full((4, 8), float("inf"))
    right, wrong = (Positives(4, torch.tensor([0]), torch.tensor([label])) for label in (3, 20))
    layer.train_step(x_BD, right, loss=LOSSES["bce"](), optimizer=optimizer)
    before = copy.deepcopy(optimizer.state_dict()["state"])
    batch = (wrong_BD, right) if bad == "features" else (x_BD, wrong)
    with pytest.raises(NonFiniteError if bad == "features" else ShapeError):
        layer.train_step(*batch, loss=LOSSES["bce"](), optimizer=optimizer)
    after = optimizer.state_dict()["state"]
    assert all(torch.equal(after[p][name], before[p][name]) for p in before for name in before[p])
    assert before[0]["step"] == 1


def test_what_is_not_finite_is_not_written() -> None:
    for kind in ("fixed_fan_in", "dense_chunked"):
        layer = build(8, 20, output_of(kind, fan_in=8, chunk=4), torch.Generator().manual_seed(1))
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        before = [p.detach().clone() for p in layer.parameters()]
        x_BD = torch.full((4, 8), float("nan"))
        empty = torch.empty(0, dtype=torch.int64)
        with pytest.raises(NonFiniteError):
            layer.train_step(x_BD, Positives(4, empty, empty), loss=LOSSES["bce"](), optimizer=optimizer)
        assert all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))


def test_on_a_gpu_a_batch_that_no_program_holds_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is quiet: it raised here once."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(dispatch, "find_spec", lambda name: name)
    gpu = torch.device("cuda")
    assert choose("auto", gpu, torch.float32, 4096) == "triton"
    assert choose("auto", gpu, torch.float32, 4097) == "torch"


def test_a_backend_asked_for_by_name_says_why_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    with monkeypatch.context() as environment:
        environment.delenv("TRITON_INTERPRET", raising=False)
        with pytest.raises(
            KernelError, match="backend triton cannot run: the weights are on cpu; allowed: cuda"
        ):
            choose("triton", cpu, torch.float32)
        environment.setenv("TRITON_INTERPRET", "1")
        assert choose("auto", cpu, torch.float32) == choose("auto", cpu, torch.bfloat16) != "triton"
        with pytest.raises(
            KernelError, match=r"backend triton cannot run: the weights are torch\.float64; allowed"
        ):
            choose("triton", cpu, torch.float64)
        with pytest.raises(
            KernelError, match="backend triton cannot run: a batch of 4097; allowed: up to 4096"
        ):
            choose("triton", cpu, torch.float32, 4097)
    assert choose("auto", cpu, torch.float64) == "torch"
    with pytest.raises(KernelError, match=r"backend cpu cannot run: the weights are torch\.float64; allowed"):
        choose("cpu", cpu, torch.float64)
    with pytest.raises(KernelError, match="backend cpu cannot run: the weights are on meta"):
        choose("cpu", torch.device("meta"), torch.float32)
    with pytest.raises(KernelError, match="allowed: auto, cpu, triton, torch"):
        choose("gpu", cpu, torch.float32)
    for key in ("weight_dtype", "feature_dtype"):
        with pytest.raises(
            ConfigError, match=rf"output\.{key}: bfloat16 needs the streaming step; allowed: "
        ):
            FixedFanIn(8, 9, fan_in=2, scores="materialise", **{key: "bfloat16"})
    with pytest.raises(TypeError, match="no fused step"):
        parameter = nn.Parameter(torch.zeros(2))
        update_of(torch.optim.Adagrad([parameter]), parameter)


def test_top_k_streams_to_the_same_labels_as_the_truth() -> None:
    for kind in ("fixed_fan_in", "dense_chunked", "dense"):
        layer = build(
            8, 200, output_of(kind, fan_in=4, chunk=7, initial_range=1.0), torch.Generator().manual_seed(1)
        )
        x_BD = torch.randn(5, 8)
        score, label = layer.top_k(x_BD, 6)
        expected = reference.top_k(layer(x_BD).detach(), 6)
        torch.testing.assert_close(score, expected[0])
        assert torch.equal(label, expected[1])
