"""The Triton kernels beside what people run on a GPU; the same columns as those of the CPU, backend `triton`."""

import gc
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from xmcbench.output import StepResult, build
from xmcbench.positives import Positives
from xmcbench.recipe import Output, OutputOptimizer
from xmcbench.training.losses import LOSSES
from xmcbench.training.optimizers import output_optimizer

from .measure import Setting, compare, fastest, sgemm_rate

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: nothing to time on a GPU"
)

DEVICE, BACKEND = "cuda", "triton"
L, D = 670_091, 768
#: A dense layer of L = 670,091 is 2 GB, its AdamW moments 4 GB, all scores of B = 128 0.3 GB.
CHUNKS = (8192, 32_768, 131_072)
FAN_INS = (32, 64, 128)
ROUNDS = 7


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def step(kind: str, batch: int, optimizer: str = "sgd", **output: object) -> Callable[[], StepResult]:
    """Return a call that trains one step on a fixed batch with five labels a document."""
    recipe = Output.model_validate({"kind": kind, "initial_bias": -4.0, **output})
    layer = build(D, L, recipe, torch.Generator().manual_seed(0)).to(DEVICE)
    settings = OutputOptimizer.model_validate({"kind": optimizer, "learning_rate": 1e-3, "weight_decay": 0.0})
    steps = output_optimizer(layer, settings)
    x_BD = torch.randn(batch, D, device=DEVICE)
    row_P = torch.arange(batch, device=DEVICE).repeat_interleave(5)
    positives = Positives(batch, row_P, torch.randint(L, (5 * batch,), device=DEVICE))
    loss = LOSSES["bce"]()
    return lambda: layer.train_step(x_BD, positives, loss=loss, optimizer=steps)


def setting(operator: str, batch: int, fan_in: int | None, **columns: str | int) -> Setting:
    return Setting(operator, L, D, batch, fan_in, backend=BACKEND, **columns)


@pytest.mark.parametrize("batch", [64, 128, 512])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fused_step(benchmark: BenchmarkFixture, dtype: str, batch: int) -> None:
    ours, *others = (
        step("fixed_fan_in", batch, fan_in=k, weight_dtype=dtype, backend=BACKEND) for k in FAN_INS
    )
    chunked = [step("dense_chunked", batch, chunk=chunk, weight_dtype=dtype) for chunk in CHUNKS]
    peers = {f"fixed_fan_in.{k}": other for k, other in zip(FAN_INS[1:], others, strict=True)}
    peers["dense_chunked.train_step"] = fastest(chunked, DEVICE)
    if dtype == "float32":
        peers["dense.train_step"] = step("dense", batch)
    columns = setting("fixed_fan_in.train_step", batch, FAN_INS[0], dtype=dtype, loss="bce", optimizer="sgd")
    compare(benchmark, columns, ours, peers, ROUNDS, DEVICE)


@pytest.mark.parametrize("group", [1, 4, 16, 64])
def test_groups_with_adamw(benchmark: BenchmarkFixture, group: int) -> None:
    shared = {"kind": "group_fan_in", "group": group} if group > 1 else {"kind": "fixed_fan_in"}
    ours = step(batch=128, optimizer="adamw", fan_in=32, backend=BACKEND, **shared)
    peers = {"fixed_fan_in.train_step": step("fixed_fan_in", 128, "adamw", fan_in=32, backend=BACKEND)}
    operator = f"{shared['kind']}.train_step"
    compare(
        benchmark,
        setting(operator, 128, 32, G=group, loss="bce", optimizer="adamw"),
        ours,
        peers,
        ROUNDS,
        DEVICE,
    )


@pytest.mark.parametrize("batch", [64, 512])
@pytest.mark.parametrize("fan_in", FAN_INS)
def test_forward(benchmark: BenchmarkFixture, fan_in: int, batch: int) -> None:
    recipe = Output(kind="fixed_fan_in", fan_in=fan_in, backend=BACKEND)
    layer = build(D, L, recipe, torch.Generator().manual_seed(0)).to(DEVICE)
    x_BD = torch.randn(batch, D, device=DEVICE)
    x_DB = x_BD.t().contiguous()
    index_LK = layer.index_LK.to(torch.int32)
    weight_LK, bias_L = layer.weight_LK.detach(), layer.bias_L.detach()
    rows = torch.arange(0, L * fan_in + 1, fan_in, dtype=torch.int32, device=DEVICE)
    sparse_LD = torch.sparse_csr_tensor(rows, index_LK.flatten(), weight_LK.flatten(), (L, D))

    def bag() -> torch.Tensor:
        return torch.nn.functional.embedding_bag(index_LK, x_DB, mode="sum", per_sample_weights=weight_LK)

    with torch.no_grad():
        torch.testing.assert_close(layer(x_BD).t(), sparse_LD @ x_DB + bias_L[:, None], rtol=1e-3, atol=1e-4)
        peers = {"torch_sparse_csr.forward": lambda: sparse_LD @ x_DB, "embedding_bag.forward": bag}
        columns = setting("fixed_fan_in.forward", batch, fan_in)
        compare(benchmark, columns, lambda: layer(x_BD), peers, ROUNDS, DEVICE)


def test_top_5(benchmark: BenchmarkFixture) -> None:
    recipe = Output(kind="fixed_fan_in", fan_in=32, backend=BACKEND)
    sparse = build(D, L, recipe, torch.Generator().manual_seed(0)).to(DEVICE)
    recipe = Output(kind="dense_chunked", chunk=CHUNKS[1])
    dense = build(D, L, recipe, torch.Generator().manual_seed(0)).to(DEVICE)
    x_BD = torch.randn(256, D, device=DEVICE)
    weight_LD = dense.weight_LD.detach()

    def by_chunks() -> tuple[torch.Tensor, torch.Tensor]:
        best = [torch.topk(x_BD @ rows.t(), 5) for rows in weight_LD.split(CHUNKS[1])]
        return torch.topk(torch.cat([b.values for b in best], 1), 5)

    peers = {"dense.top_k": by_chunks}
    columns = setting("fixed_fan_in.top_k", 256, 32)
    compare(benchmark, columns, lambda: sparse.top_k(x_BD, 5), peers, ROUNDS, DEVICE)


def test_what_the_device_can_do(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(sgemm_rate, args=(DEVICE,), rounds=1)
    benchmark.extra_info.update(machine={"gpu_sgemm_rate": sgemm_rate(DEVICE)})
