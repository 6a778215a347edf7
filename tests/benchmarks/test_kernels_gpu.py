"""The Triton kernels beside what people run on a GPU; the same columns as those of the CPU, backend `triton`.

Dense rivals are measured twice: in float32, and with TF32, where tensor cores round the factors of products to 10 bits; that
is what people allow who want a dense layer to be fast.
"""

import gc
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from xmcbench.output import OutputLayer, StepResult, build
from xmcbench.positives import Positives
from xmcbench.recipe import Output, OutputOptimizer
from xmcbench.training.losses import LOSSES
from xmcbench.training.optimizers import output_optimizer

from .measure import (
    Also,
    Call,
    Setting,
    compare,
    compare_label_counts,
    copy_rate,
    extra_device_bytes,
    sgemm_rate,
)

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: nothing to time on a GPU"
)

DEVICE, BACKEND = "cuda", "triton"
L, D = 670_091, 768
#: A dense layer of L = 670,091 is 2 GB, its AdamW moments 4 GB, all scores of B = 128 0.3 GB.
CHUNK = 32_768
FAN_INS = (32, 64, 128)
ROUNDS = 7


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def made(labels: int, **output: object) -> OutputLayer:
    """Return a layer whose weights the GPU has drawn: a CPU would take seconds."""
    recipe = Output.model_validate({"initial_bias": -4.0, **output})
    with torch.device(DEVICE):
        return build(D, labels, recipe, torch.Generator(DEVICE).manual_seed(0))


def step(
    kind: str, batch: int, optimizer: str = "sgd", labels: int = L, **output: object
) -> Callable[[], StepResult]:
    """Return a call that trains one step on a fixed batch with five labels a document."""
    layer = made(labels, kind=kind, **output)
    settings = OutputOptimizer.model_validate({"kind": optimizer, "learning_rate": 1e-3, "weight_decay": 0.0})
    steps = output_optimizer(layer, settings)
    x_BD = torch.randn(batch, D, device=DEVICE)
    row_P = torch.arange(batch, device=DEVICE).repeat_interleave(5)
    positives = Positives(batch, row_P, torch.randint(labels, (5 * batch,), device=DEVICE))
    loss = LOSSES["bce"]()
    return lambda: layer.train_step(x_BD, positives, loss=loss, optimizer=steps)


def with_tf32(call: Call) -> Call:
    """Return the call with products on tensor cores, which round their factors."""

    def rounded() -> object:
        torch.set_float32_matmul_precision("high")
        try:
            return call()
        finally:
            torch.set_float32_matmul_precision("highest")

    return rounded


def deterministic(call: Call) -> Call:
    """Return the call as runs make it: the feature gradient by a second pass, the same bits every time."""

    def repeatable() -> object:
        torch.use_deterministic_algorithms(True)
        try:
            return call()
        finally:
            torch.use_deterministic_algorithms(False)

    return repeatable


def setting(operator: str, batch: int, fan_in: int | None, labels: int = L, **columns: str | int) -> Setting:
    return Setting(operator, labels, D, batch, fan_in, backend=BACKEND, **columns)


@pytest.mark.parametrize("batch", [64, 128, 512])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fused_step(benchmark: BenchmarkFixture, dtype: str, batch: int) -> None:
    ours, *others = (
        step("fixed_fan_in", batch, fan_in=k, weight_dtype=dtype, backend=BACKEND) for k in FAN_INS
    )
    chunked = step("dense_chunked", batch, weight_dtype=dtype)
    also = [Also({"K": k}, other) for k, other in zip(FAN_INS[1:], others, strict=True)]
    peers: dict[str, Call] = {
        "dense_chunked.train_step": chunked,
        "dense_chunked.train_step, TF32": with_tf32(chunked),
    }
    if dtype == "float32":
        dense = step("dense", batch)
        peers |= {"dense.train_step": dense, "dense.train_step, TF32": with_tf32(dense)}
    columns = setting("fixed_fan_in.train_step", batch, FAN_INS[0], dtype=dtype, loss="bce", optimizer="sgd")
    compare(benchmark, columns, ours, peers, ROUNDS, DEVICE, also)


@pytest.mark.parametrize("batch", [64, 128, 512, 1024, 2048])
def test_ways_to_the_feature_gradient(benchmark: BenchmarkFixture, batch: int) -> None:
    """Atomics beside the second pass by input, which deterministic runs take."""
    ours = step("fixed_fan_in", batch, fan_in=32, backend=BACKEND)
    peers = {"fixed_fan_in.train_step, by input": deterministic(ours)}
    columns = setting("fixed_fan_in.train_step", batch, 32, loss="bce", optimizer="sgd")
    compare(benchmark, columns, ours, peers, ROUNDS, DEVICE)


@pytest.mark.parametrize("way", ["fixed_fan_in", "dense_chunked", "dense"])
def test_step_against_label_count(benchmark: BenchmarkFixture, way: str) -> None:
    """Time and memory of a step as the label space grows: fused and sparse, dense by chunks, dense as people write it."""
    fused = way == "fixed_fan_in"
    counts = (32_768, 131_072, 524_288, 2_812_281)
    output = {"fan_in": 32, "backend": BACKEND} if fused else {}
    steps = {labels: step(way, 64, labels=labels, **output) for labels in counts}
    fan_in = 32 if fused else D
    columns = setting(f"{way}.train_step", 64, fan_in, counts[0], loss="bce", optimizer="sgd")
    compare_label_counts(benchmark, columns, steps, extra_device_bytes, ROUNDS, DEVICE)


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
    layer = made(L, kind="fixed_fan_in", fan_in=fan_in, backend=BACKEND)
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
    sparse = made(L, kind="fixed_fan_in", fan_in=32, backend=BACKEND)
    dense = made(L, kind="dense_chunked")
    x_BD = torch.randn(256, D, device=DEVICE)
    weight_LD = dense.weight_LD.detach()

    def by_chunks() -> tuple[torch.Tensor, torch.Tensor]:
        best = [torch.topk(x_BD @ rows.t(), 5) for rows in weight_LD.split(CHUNK)]
        return torch.topk(torch.cat([b.values for b in best], 1), 5)

    peers = {"dense.top_k": by_chunks, "dense.top_k, TF32": with_tf32(by_chunks)}
    columns = setting("fixed_fan_in.top_k", 256, 32)
    compare(benchmark, columns, lambda: sparse.top_k(x_BD, 5), peers, ROUNDS, DEVICE)


def test_what_the_device_can_do(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(sgemm_rate, args=(DEVICE,), rounds=1)
    rates = {"gpu_sgemm_rate": sgemm_rate(DEVICE), "gpu_copy_rate": copy_rate(DEVICE)}
    benchmark.extra_info.update(machine=rates)
