"""Compile every kernel ahead of time and say what it takes: `python -m xmcbench.kernels.triton.resources --out FILE.csv`.

No GPU is needed, but TRITON_INTERPRET must not be set. What is compiled is what `host` would run: it is called with
tensors that have shapes and no data, and its launches are recorded.

Bytes a weight, in DRAM, for each of the L·K connections (or, for the dense layer, weights) of one call. s: 4 or 2 bytes of
a stored weight. The floor is what must move if every array moves once and the features (read by all, so in L2) are free:
- forward: s, index 2/G, and per label bias 4 and scores 4·B, over K;
- step: 2·s, moments 2·8 (AdamW), index 2/G, bias and its moments 2·12/K;
- backward: s, gradient 4, index 2/G, given score gradients 4·B/K, bias 8/K;
- top_k: s, index 2/G, bias 4/K;
- by_input: weight s, and score gradients 4·B/K; dense_update: 2·s, 2·8 and its score gradients 4·B/D.
What is moved beyond it: offsets of the positives (8 + 4 a label, written and read) and partial sums (16 bytes a program)
in a step; score gradients of a chunk that are written and read back (8·B/K, the group step and all steps by input); the
order of the sorted connections (8 bytes) in by_input. l2_bytes_per_weight counts gathered and added rows instead, the
limit in practice (see `fan_in`): 4·B a pass over x, over grad_x or over score gradients, divided by the labels that share it.
"""

import argparse
import csv
import os
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from xmcbench.kernels.operators import LOSSES
from xmcbench.kernels.triton import host, launch
from xmcbench.kernels.triton.launch import Launch
from xmcbench.kernels.triton.loss import GIVEN
from xmcbench.kernels.triton.shapes import ENOUGH_LABELS
from xmcbench.kernels.update import RULES, Update

#: Bytes of shared memory that one program can have.
LIMITS = {"sm_80": 163 * 1024, "sm_90": 227 * 1024}
#: Labels and features of the shapes; L decides nothing but how many labels a program takes.
L, D, CHUNK = 131_072, 768, 8192
TYPES = {
    torch.float32: "*fp32",
    torch.int16: "*i16",
    torch.uint16: "*u16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.bool: "*i1",
}
WIDTH = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Shape:
    """What a call is compiled for. way: of the feature gradient."""

    dtype: str
    B: int
    K: int
    G: int = 1
    loss: str = "bce"
    rule: str = "adamw"
    way: str = "atomic"


@dataclass(frozen=True)
class Row:
    """One compiled kernel; registers of a thread, bytes of shared memory of a program."""

    kernel: str
    target: str
    dtype: str
    B: int
    K: int
    G: int
    loss: str
    rule: str
    way: str
    num_warps: int
    registers: int
    spills: int
    shared_bytes: int
    bytes_per_weight: float
    floor_bytes_per_weight: float
    l2_bytes_per_weight: float


def data_set_shapes() -> list[Shape]:
    """Return the shapes of the real data sets; where a kernel does not depend on one of two sizes, not their product."""
    found = []
    for dtype in ("float32", "bfloat16"):
        sizes = [(64, 32), (128, 32), (256, 32), (512, 32), (128, 64), (128, 128), (128, 256), (512, 256)]
        found += [Shape(dtype, *size) for size in sizes]
        found += [Shape(dtype, *size, G=16) for size in [(64, 32), (128, 64), (256, 128), (512, 256)]]
        found += [Shape(dtype, 128, 32, G=64), Shape(dtype, 128, 32, G=4)]
        found += [
            Shape(dtype, 128, 32, G, loss="squared_hinge", rule=r)
            for G in (1, 16)
            for r in ("sgd", "momentum")
        ]
        found += [Shape(dtype, B, 32, G, way="by_input") for B in (128, 512) for G in (1, 16)]
    found.append(Shape("float32", 1024, 32, way="by_input"))
    return found


def calls(shape: Shape) -> list[Launch]:
    """Return each launch of a training step and its backward pass; with atomics, of scores, top-k and the dense update."""

    def meta(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*size, dtype=dtype, device="meta")

    dtype, rule = getattr(torch, shape.dtype), RULES.index(shape.rule)
    x_DB, pairs = meta(D, shape.B), meta(5 * shape.B, dtype=torch.int64)
    index = meta(L // shape.G, shape.K, dtype=torch.uint16)
    layer = (x_DB, meta(L, shape.K, dtype=dtype), index, meta(L), shape.G)
    moments = [meta(*size) if rule >= of else None for size in ((L, shape.K), (L,)) for of in (1, 2)]
    loss = LOSSES.index(shape.loss)
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(shape.way == "by_input")
    try:
        with launch.recording() as recorded:
            host.train_step(*layer, tuple(moments), pairs, pairs, None, loss, 1.0, rule, [0.5] * 10, 1 << 40)
            host.backward(meta(L, shape.B), *layer)
            if shape.way == "atomic":
                host.forward(*layer)
                host.best(*layer, 5)
            if (shape.B, shape.K, shape.G, shape.way) == (128, 32, 1, "atomic"):  # no fan-in, no groups
                first, second = (meta(CHUNK, D) if rule >= of else None for of in (1, 2))
                update = Update(shape.rule, 0.5, first=first, second=second)
                weight, gradient = meta(CHUNK, D, dtype=dtype), meta(shape.B, CHUNK)
                sound = meta(1, dtype=torch.bool)
                host.dense_update(meta(shape.B, D), gradient, weight, update, sound, 0, 1 << 40)
    finally:
        torch.use_deterministic_algorithms(deterministic)
    # One launch of each kernel: chunks differ in nothing but their labels.
    return list({name(each): each for each in recorded}.values())


def name(each: Launch) -> str:
    """Return a kernel's name; a step whose score gradients are given is a backward pass."""
    found: str = each.kernel.__name__
    given = each.arguments.get("LOSS") == GIVEN.value
    return found.replace("step", "backward") if given else found


def source(each: Launch) -> ASTSource:
    """Return what triton's launcher would compile for a launch: types, constants (1 is one), divisibility by 16."""
    kernel = each.kernel
    signature: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    constexprs = {kernel.arg_names[position] for position in kernel.constexprs}
    for position, argument in enumerate(kernel.arg_names):
        value: Any = each.arguments[argument]
        if argument in constexprs or value is None:
            signature[argument], constants[argument] = "constexpr", value
        elif isinstance(value, Tensor):
            signature[argument] = TYPES[value.dtype]
            attributes[(position,)] = [["tt.divisibility", 16]]
        elif isinstance(value, tuple):
            signature[argument] = ("fp32",) * len(value)
        elif isinstance(value, float):
            signature[argument] = "fp32"
        elif value == 1 and argument not in kernel.do_not_specialize:
            signature[argument], constants[argument] = "constexpr", 1
        else:
            signature[argument] = "i32" if -(1 << 31) <= value < 1 << 31 else "i64"
            if value % 16 == 0 and argument not in kernel.do_not_specialize:
                attributes[(position,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, constants, attributes)


def compiled(each: Launch, shape: Shape, target: str) -> Row:
    """Compile a launch for a target and return what it takes."""
    kernel = triton.compile(source(each), GPUTarget("cuda", int(target[3:]), 32), launch.options(each.size))
    registers, spills = usage(kernel.asm["cubin"])
    moved, floor, l2 = traffic(each, shape)
    return Row(
        name(each),
        target,
        **asdict(shape),
        num_warps=each.size.warps,
        registers=registers,
        spills=spills,
        shared_bytes=kernel.metadata.shared,
        bytes_per_weight=moved,
        floor_bytes_per_weight=floor,
        l2_bytes_per_weight=l2,
    )


def usage(cubin: bytes) -> tuple[int, int]:
    """Return registers and bytes of spills (local memory and stack) as the `cuobjdump` that comes with triton reads them."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        tool = triton.knobs.nvidia.cuobjdump.path
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    found = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", done.stdout)}
    return found["REG"], found["STACK"] + found["LOCAL"]


def traffic(each: Launch, shape: Shape) -> tuple[float, float, float]:
    """Return bytes a weight as the module's docstring counts them: moved, floor, and in L2."""
    B, K, G, stored = shape.B, shape.K, shape.G, WIDTH[shape.dtype]
    moments = {"sgd": 0, "momentum": 8, "adamw": 16}[shape.rule]
    index, kernel = 2 / G, name(each)
    rows, extra = 4 * B / (1 if G < ENOUGH_LABELS else each.arguments.get("BLOCK_G", 16)), 0.0
    if kernel.endswith("forward"):
        floor, l2 = stored + index + (4 + 4 * B) / K, rows
    elif kernel.endswith("step"):
        floor, l2 = 2 * stored + moments + index + (8 + moments) / K, 2 * rows
        extra = 20 / K + 16 * each.grid[0] / (L * K)
        if shape.way == "atomic":
            l2 += rows
        if shape.way == "by_input" or "BLOCK_G" in each.arguments:
            extra += 8 * B / K
    elif kernel.endswith("backward"):
        floor, l2 = stored + 4 + index + (8 + 4 * B) / K, rows + (rows if shape.way == "atomic" else 0)
    elif kernel == "top_k":
        floor, l2 = stored + index + 4 / K, 4 * B / (16 if each.arguments["DOT"] else 1)
    elif kernel == "by_input":
        floor, l2, extra = stored + 4 * B / K, 4.0 * B, 8.0
    else:
        # Each tile of 64 × 64 weights reads its features and its score gradients.
        floor, l2 = 2 * stored + moments + 4 * B / D, 8 * B / 64
    return round(floor + extra, 2), round(floor, 2), round(l2, 1)


def table() -> list[Row]:
    """Return a row for each kernel, shape and target."""
    if launch.INTERPRETED:
        raise SystemExit("TRITON_INTERPRET is set: an interpreted function cannot be compiled")
    found: dict[tuple[Any, ...], Row] = {}
    for shape in data_set_shapes():
        for each in calls(shape):
            for target in LIMITS:
                row = compiled(each, shape, target)
                found.setdefault((row.kernel, row.target, *asdict(shape).values()), row)
    return list(found.values())


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description="compile the GPU kernels ahead of time and list what they take"
    )
    parser.add_argument("--out", type=Path, required=True)
    path: Path = parser.parse_args().out
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator=os.linesep)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([list(asdict(row).values()) for row in table()])


if __name__ == "__main__":
    main()
