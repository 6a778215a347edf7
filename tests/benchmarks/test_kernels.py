"""The fixed fan-in kernels beside what people run: `snakemake --cores all kernels` makes a table of these."""

import gc
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from xmcbench.kernels import operators
from xmcbench.output import OutputLayer, StepResult, build
from xmcbench.positives import Positives
from xmcbench.recipe import Output, OutputOptimizer
from xmcbench.reporting.kernel_tables import NARROW_FEATURES
from xmcbench.training.losses import LOSSES
from xmcbench.training.optimizers import output_optimizer

from .measure import (
    THREADS,
    Also,
    Setting,
    compare,
    compare_label_counts,
    copy_rate,
    extra_bytes,
    fastest,
    sgemm_rate,
)

L, D = 131_072, 768
CHUNKS = (1024, 2048, 4096, 8192)
#: At K = 32 a step takes tens of milliseconds, a dense one a second.
ROUNDS = 7


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    yield
    gc.collect()


def step(
    kind: str,
    batch: int,
    labels: int = L,
    features: int = D,
    loss: str = "bce",
    optimizer: str = "sgd",
    momentum: float = 0.0,
    bias: float = -4.0,
    zero_share: float | None = None,
    **output: object,
) -> Callable[[], StepResult]:
    """Return a call that trains one step on a fixed batch; every document has five labels, as in the paper's sets.

    zero_share: set the bias so that this share of the scores are easy negatives of the squared hinge, z ≤ −1.
    """
    recipe = Output.model_validate({"kind": kind, "initial_bias": bias, **output})
    layer = build(features, labels, recipe, torch.Generator().manual_seed(0))
    settings = OutputOptimizer.model_validate(
        {"kind": optimizer, "learning_rate": 1e-3, "momentum": momentum, "weight_decay": 0.0}
    )
    steps = output_optimizer(layer, settings)
    x_BD = torch.randn(batch, features)
    if zero_share is not None:
        with torch.no_grad():
            z = layer(x_BD)[:, :8192].flatten()
            layer.bias_L += -1 - z.kthvalue(int(zero_share * z.numel())).values
    row_P = torch.arange(batch).repeat_interleave(5)
    positives = Positives(batch, row_P, torch.randint(labels, (5 * batch,)))
    value = LOSSES[loss]()
    return lambda: layer.train_step(x_BD, positives, loss=value, optimizer=steps)


def chunked(batch: int, labels: int = L) -> Callable[[], StepResult]:
    return fastest([step("dense_chunked", batch, labels, chunk=chunk) for chunk in CHUNKS])


@pytest.mark.parametrize("batch", [64, 128])
def test_fused_step(benchmark: BenchmarkFixture, batch: int) -> None:
    """All fan-ins in one test, so that the dense rivals are measured once, in the same turns."""
    also = [Also({"K": k}, step("fixed_fan_in", batch, fan_in=k)) for k in (64, 128)]
    rivals = {"dense.train_step": step("dense", batch), "dense_chunked.train_step": chunked(batch)}
    setting = Setting("fixed_fan_in.train_step", L, D, batch, 32, loss="bce", optimizer="sgd")
    compare(benchmark, setting, step("fixed_fan_in", batch, fan_in=32), rivals, ROUNDS, also=also)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adamw", {"optimizer": "adamw"}),
        ("momentum", {"optimizer": "sgd", "momentum": 0.9}),
        # Of the quick run of fixed_fan_in_set, squared hinge (history.jsonl): half of the gradients are zero at the first step, 97 % of
        # them after a few hundred, 99 % at half time, 99.7 % at the end.
        *(
            (f"hinge, {share:.1%} zero", {"loss": "squared_hinge", "zero_share": share})
            for share in (0.5, 0.97, 0.99, 0.997)
        ),
        ("bfloat16", {"weight_dtype": "bfloat16"}),
    ],
)
def test_variants_against_plain_sgd(
    benchmark: BenchmarkFixture, name: str, settings: dict[str, object]
) -> None:
    setting = Setting(
        "fixed_fan_in.train_step",
        L,
        D,
        64,
        32,
        dtype=str(settings.get("weight_dtype", "float32")),
        loss=str(settings.get("loss", "bce")),
        optimizer="momentum" if "momentum" in settings else str(settings.get("optimizer", "sgd")),
    )
    peers = {"fixed_fan_in.train_step": step("fixed_fan_in", 64, fan_in=32)}
    if "zero_share" in settings:
        whole = {**settings, "zero_share": 0.001}
        peers["fixed_fan_in.train_step, nothing skipped"] = step("fixed_fan_in", 64, fan_in=32, **whole)
    compare(benchmark, setting, step("fixed_fan_in", 64, fan_in=32, **settings), peers, ROUNDS)


@pytest.mark.parametrize("fan_in", [32, 64, 128])
@pytest.mark.parametrize("batch", [64, 128])
def test_step_with_features_in_bfloat16(benchmark: BenchmarkFixture, batch: int, fan_in: int) -> None:
    """Not the claim's condition, which is float32: what half the bytes of features bring."""
    setting = Setting(
        "fixed_fan_in.train_step", L, D, batch, fan_in, dtype=NARROW_FEATURES, loss="bce", optimizer="sgd"
    )
    peers = {"fixed_fan_in.train_step": step("fixed_fan_in", batch, fan_in=fan_in)}
    ours = step("fixed_fan_in", batch, fan_in=fan_in, feature_dtype="bfloat16")
    compare(benchmark, setting, ours, peers, ROUNDS)


@pytest.mark.parametrize("group", [16, 32])
@pytest.mark.parametrize("fan_in", [32, 64, 128])
@pytest.mark.parametrize("batch", [64, 128])
def test_group_step(benchmark: BenchmarkFixture, batch: int, fan_in: int, group: int) -> None:
    """Labels that share a row of inputs, beside labels that do not."""
    setting = Setting("group_fan_in.train_step", L, D, batch, fan_in, group, loss="bce", optimizer="sgd")
    peers = {"fixed_fan_in.train_step": step("fixed_fan_in", batch, fan_in=fan_in)}
    compare(benchmark, setting, step("group_fan_in", batch, fan_in=fan_in, group=group), peers, ROUNDS)


@pytest.mark.parametrize("reused", [False, True], ids=["new array", "array reused"])
@pytest.mark.parametrize("fan_in", [32, 64, 128])
def test_forward(benchmark: BenchmarkFixture, fan_in: int, reused: bool) -> None:
    """The peers always make a new array of 33 MB, whose first touch costs as much as the work; ours need not."""
    batch = 64
    layer = build(D, L, Output(kind="fixed_fan_in", fan_in=fan_in), torch.Generator().manual_seed(0))
    x_BD = torch.randn(batch, D)
    x_DB = x_BD.t().contiguous()
    index_LK = layer.index_LK.to(torch.int32)
    weight_LK, bias_L = layer.weight_LK.detach(), layer.bias_L.detach()
    rows = torch.arange(0, L * fan_in + 1, fan_in, dtype=torch.int32)
    sparse_LD = torch.sparse_csr_tensor(rows, index_LK.flatten(), weight_LK.flatten(), (L, D))

    def bag() -> torch.Tensor:
        return torch.nn.functional.embedding_bag(index_LK, x_DB, mode="sum", per_sample_weights=weight_LK)

    z_LB = torch.empty(L, batch)

    def into() -> None:
        operators.module().forward(weight_LK, layer.index_LK, bias_L, 1, x_DB, z_LB, THREADS)

    with torch.no_grad():
        torch.testing.assert_close(layer(x_BD).t(), sparse_LD @ x_DB + bias_L[:, None], rtol=1e-3, atol=1e-4)
        compare(
            benchmark,
            Setting("fixed_fan_in.forward_into" if reused else "fixed_fan_in.forward", L, D, batch, fan_in),
            into if reused else lambda: layer(x_BD),
            {"torch_sparse_csr.forward": lambda: sparse_LD @ x_DB, "embedding_bag.forward": bag},
            # The first ten or so new arrays cost several times what later ones do, until the kernel has large pages at hand.
            5 * ROUNDS,
        )


def test_two_threads(benchmark: BenchmarkFixture) -> None:
    ours, one = step("fixed_fan_in", 64, fan_in=64), step("fixed_fan_in", 64, fan_in=64)

    def alone() -> StepResult:
        torch.set_num_threads(1)
        try:
            return one()
        finally:
            torch.set_num_threads(THREADS)

    setting = Setting("fixed_fan_in.train_step", L, D, 64, 64, loss="bce", optimizer="sgd")
    compare(benchmark, setting, ours, {"fixed_fan_in.train_step, 1 thread": alone}, ROUNDS)


@pytest.mark.parametrize("way", ["fixed_fan_in", "dense_chunked", "dense"])
def test_step_against_label_count(benchmark: BenchmarkFixture, way: str) -> None:
    """Time and memory of a step as the label space grows: fused and sparse, dense by chunks, dense as people write it."""
    fused = way == "fixed_fan_in"
    # Of a dense layer of 2.8 M labels the weights, their gradient and the scores would not fit 24 GiB.
    counts = (32_768, 131_072, 524_288, *([2_812_281] if way != "dense" else []))
    steps = {labels: step(way, 64, labels, **({"fan_in": 32} if fused else {})) for labels in counts}
    setting = Setting(f"{way}.train_step", counts[0], D, 64, 32 if fused else D, loss="bce", optimizer="sgd")
    compare_label_counts(benchmark, setting, steps, extra_bytes, 2 * ROUNDS if fused else 4)


def test_top_5_of_670k_labels(benchmark: BenchmarkFixture) -> None:
    labels, batch, k = 670_091, 256, 5
    sparse = build(D, labels, Output(kind="fixed_fan_in", fan_in=32), torch.Generator().manual_seed(0))
    dense: OutputLayer = build(
        D, labels, Output(kind="dense_chunked", chunk=16_384), torch.Generator().manual_seed(0)
    )
    x_BD = torch.randn(batch, D)
    weight_LD = dense.weight_LD.detach()

    def by_chunks() -> tuple[torch.Tensor, torch.Tensor]:
        best = [torch.topk(x_BD @ rows.t(), k) for rows in weight_LD.split(16_384)]
        return torch.topk(torch.cat([b.values for b in best], 1), k)

    setting = Setting("fixed_fan_in.top_k", labels, D, batch, 32)
    compare(benchmark, setting, lambda: sparse.top_k(x_BD, k), {"dense.top_k": by_chunks}, 5)


@pytest.mark.parametrize("batch", [16, 64, 256])
def test_where_sparse_stops_winning(benchmark: BenchmarkFixture, batch: int) -> None:
    """Fan-in up to D against the best dense chunked step: the losing points are published too."""
    labels = 32_768
    fan_ins = (32, 96, 192, 384, 768)
    also = [Also({"K": k}, step("fixed_fan_in", batch, labels, fan_in=k)) for k in fan_ins[1:]]
    rivals = {"dense_chunked.train_step": chunked(batch, labels)}
    setting = Setting("fixed_fan_in.train_step", labels, D, batch, fan_ins[0], loss="bce", optimizer="sgd")
    ours = step("fixed_fan_in", batch, labels, fan_in=fan_ins[0])
    compare(benchmark, setting, ours, rivals, 5, also=also)


def test_what_the_machine_can_do(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(sgemm_rate, rounds=1)
    rates = {"sgemm_rate": sgemm_rate(), "copy_rate": copy_rate()}
    benchmark.extra_info.update(machine={**rates, "instruction_set": operators.module().instruction_set()})
