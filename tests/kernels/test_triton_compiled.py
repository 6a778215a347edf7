"""Every Triton kernel compiled ahead of time for the shapes of the real data sets: no spills, no shared memory too many.

In a process of its own, since an interpreted function cannot be compiled.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

LIMITS = {"sm_80": 163 * 1024, "sm_90": 227 * 1024}
COMMITTED = Path(__file__).parents[2] / "results/reference/triton_resources.csv"
KEY = ("kernel", "target", "dtype", "B", "K", "G", "loss", "rule", "way")
Rows = list[dict[str, str]]


def read(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    path = tmp_path_factory.mktemp("resources") / "triton_resources.csv"
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "xmcbench.kernels.triton.resources", "--out", str(path)]
    subprocess.run(command, env=environment, check=True, timeout=600)
    return read(path)


def test_every_kernel_is_compiled_for_every_shape(rows: Rows) -> None:
    there = {tuple(row[name] for name in ("kernel", "target", "dtype", "B", "K")) for row in rows}
    for target in LIMITS:
        for dtype in ("float32", "bfloat16"):
            for kernel in ("forward", "step", "backward", "top_k"):
                for B, K in [(B, 32) for B in (64, 128, 256, 512)] + [(128, K) for K in (64, 128, 256)]:
                    assert (kernel, target, dtype, str(B), str(K)) in there, kernel
            for kernel in ("group_forward", "group_step", "group_backward", "top_k"):
                for B, K in ((64, 32), (128, 64), (256, 128), (512, 256)):
                    assert (kernel, target, dtype, str(B), str(K)) in there, kernel
            for kernel in ("by_input", "dense_update"):
                assert (kernel, target, dtype, "128", "32") in there, kernel
    assert {row["rule"] for row in rows} == {"sgd", "momentum", "adamw"}
    assert {row["loss"] for row in rows} == {"bce", "squared_hinge"}


def test_nothing_spills_and_shared_memory_suffices(rows: Rows) -> None:
    for row in rows:
        assert int(row["spills"]) == 0, row
        # A processor has 65,536 registers, and a program must fit one.
        assert 0 < int(row["registers"]) * 32 * int(row["num_warps"]) <= 65_536, row
        assert int(row["shared_bytes"]) <= LIMITS[row["target"]], row


def test_what_moves_is_near_the_floor(rows: Rows) -> None:
    for row in rows:
        floor, moved = float(row["floor_bytes_per_weight"]), float(row["bytes_per_weight"])
        assert floor <= moved
        if row["kernel"] == "step" and row["way"] == "atomic":
            assert moved < 1.2 * floor, row


def test_the_committed_table_lists_the_same(rows: Rows) -> None:
    """Registers may differ with triton's version, the list and the arithmetic may not."""
    names = (*KEY, "num_warps", "bytes_per_weight", "floor_bytes_per_weight", "l2_bytes_per_weight")
    assert [[row[n] for n in names] for row in read(COMMITTED)] == [[row[n] for n in names] for row in rows]
