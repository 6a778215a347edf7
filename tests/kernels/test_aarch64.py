"""The C++ kernels on the other processor they are made for, cross-compiled and emulated, where both tools are there.

On such a machine itself `test_cpu.py` says all of this, and more. Debian and Ubuntu: g++-aarch64-linux-gnu, qemu-user.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import xmcbench.kernels
from xmcbench.kernels import operators, reference

from . import cases
from .cases import Case, assert_bits, assert_same, make, truth

COMPILER = shutil.which("aarch64-linux-gnu-g++")
EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
pytestmark = pytest.mark.skipif(
    COMPILER is None or EMULATOR is None, reason="needs aarch64-linux-gnu-g++ and qemu-aarch64"
)
SOURCES = Path(xmcbench.kernels.__file__).with_name("cpu")
#: As in CMakeLists.txt; static, so that no library of that processor need be found.
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fopenmp", "-static"]
NAMES = ['-DXMC_NAME="baseline"', "-DXMC_WIDTH=4", "-DXMC_FUNCTION=kernels_baseline"]


class Emulated:
    """What `operators.module()` returns (_cpu.pyi), for that processor: every call is a process that works on files."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder

    def train_step(self, *given: Any) -> tuple[float, int, int, int]:
        *layer, x_DB, label_P, row_P, grad_x_DB, label_weight_L, loss, scale, rule = given[:12]
        *update, key, first_LK, second_LK, first_L, second_L, threads = given[12:]
        weight_LK, _, bias_L, _ = layer
        moved = {"weight": weight_LK, "bias": bias_L, "first": first_LK, "second": second_LK}
        moved |= {"bias_first": first_L, "bias_second": second_L}
        batch = {"label": label_P, "row": row_P, "label_weight": label_weight_L}
        numbers = (loss, rule, key, scale, *update)
        said = self._run("train_step", layer, x_DB, 0, threads, numbers, moved | batch)
        self._read({**moved, "grad_x": grad_x_DB})
        value, zeros, skipped, bad = said.split()
        return float(value), int(zeros), int(skipped), int(bad)

    def forward(self, *given: Any) -> None:
        *layer, x_DB, z_LB, threads = given
        self._run("forward", layer, x_DB, 0, threads)
        self._read({"z": z_LB})

    def top_k(self, *given: Any) -> None:
        *layer, x_DB, score_Bk, label_Bk, threads = given
        self._run("top_k", layer, x_DB, score_Bk.shape[1], threads)
        self._read({"score": score_Bk, "best": label_Bk})

    def _run(
        self,
        what: str,
        layer: Sequence[Any],
        x_DB: Tensor,
        places: int,
        threads: int,
        step: Sequence[float] = (0,) * 14,
        more: dict[str, Tensor | None] | None = None,
    ) -> str:
        """Run the program on a layer (weights, index, bias, labels a row) and features; return what it printed.

        step: loss, rule and key, then the scale and the update's constants.
        """
        weight_LK, index_HK, bias_L, group = layer
        narrow, wide = weight_LK.dtype == torch.bfloat16, index_HK.dtype == torch.int32
        sizes = (weight_LK.shape[0], x_DB.shape[0], weight_LK.shape[1], group, x_DB.shape[1])
        numbers = (*sizes, places, threads, int(narrow), int(wide), *step)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        (self.folder / "numbers").write_text(" ".join(map(repr, numbers)))
        given = {"weight": weight_LK, "index": index_HK, "bias": bias_L, "x": x_DB, **(more or {})}
        for name, tensor in given.items():
            if tensor is not None:
                (self.folder / name).write_bytes(tensor.contiguous().view(torch.uint8).numpy().tobytes())
        command = [str(EMULATOR), str(self.program), str(self.folder), what]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def _read(self, results: dict[str, Tensor | None]) -> None:
        for name, tensor in results.items():
            if tensor is not None:
                values = np.fromfile(self.folder / name, dtype=np.uint8)
                tensor.copy_(torch.from_numpy(values).view(tensor.dtype).view(tensor.shape))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("aarch64") / "kernels_on_files"
    own = Path(__file__).with_name("aarch64") / "kernels_on_files.cpp"
    sources = [own, *(SOURCES / f"{name}.cpp" for name in ("fan_in", "turns", "scratch"))]
    command = [str(COMPILER), *FLAGS, *NAMES, f"-I{SOURCES}", *map(str, sources), "-o", str(found)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return found


@pytest.fixture(autouse=True)
def emulated(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = Emulated(program, tmp_path / "arrays")
    monkeypatch.setattr(operators, "module", lambda: module)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(2)


#: Documents, features, labels, fan-in; then what differs from float32 weights, a 16-bit index, inputs of a label's own.
ODD: list[tuple[tuple[int, int, int, int], dict[str, Any]]] = [
    ((1, 1, 1, 1), {}),
    ((7, 13, 40, 13), {"positive_share": 0.0}),
    ((64, 70, 2100, 9), {"index_dtype": torch.int32}),
    ((130, 33, 1021, 5), {"weight_dtype": torch.bfloat16}),
    ((19, 40, 331, 8), {"group": 16}),
    ((70, 21, 95, 21), {"group": 7, "weight_dtype": torch.bfloat16}),
]


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("loss", operators.LOSSES)
@pytest.mark.parametrize(("sizes", "kind"), ODD)
def test_the_fused_step_is_the_truth(
    sizes: tuple[int, int, int, int], kind: dict[str, Any], loss: str, rule: str
) -> None:
    case: Case = make(*sizes, **kind)
    label_weight = torch.linspace(0.5, 2.0, len(case.bias_L)) if rule == "momentum" else None
    ours = cases.fused(case, loss, rule, label_weight=label_weight)
    assert_same(ours, truth(case, loss, rule, label_weight=label_weight), case)
    assert ours["bad"] == -1
    torch.set_num_threads(1)
    assert_bits(cases.fused(case, loss, rule, label_weight=label_weight), ours, "one thread")


@pytest.mark.parametrize(("sizes", "kind"), ODD)
def test_scores_and_the_best_of_them_are_the_truth(
    sizes: tuple[int, int, int, int], kind: dict[str, Any]
) -> None:
    case: Case = make(*sizes, **kind)
    weight_LK, index_HK, bias_L, group = case.layer
    expected_BL = reference.scores(case.x_BD, weight_LK.float(), case.index_LK, bias_L)
    x_DB = case.x_BD.t().contiguous()
    z_LB = operators.scores(x_DB, weight_LK, index_HK, bias_L, group, "auto")
    torch.testing.assert_close(z_LB.t(), expected_BL, rtol=1e-4, atol=1e-5)
    places = min(5, len(bias_L))
    score_Bk, label_Bk = operators.top_k(x_DB, weight_LK, index_HK, bias_L, group, places)
    best_Bk, first_Bk = reference.top_k(z_LB.t(), places)
    assert torch.equal(score_Bk, best_Bk) and torch.equal(label_Bk, first_Bk)
