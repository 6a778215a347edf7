"""The feature gradient without atomics: a second pass over the connections of a chunk of labels, grouped by input.

Two ways, by arithmetic. Per connection and step, with B documents:
- (a) atomics: the fused step adds w·g into a row of grad_x_DB, 4·B bytes of red.add. All of grad_x_DB (768 × 128 × 4 bytes
  = 0.4 MB) lies in L2, whose slices read, add and write. An input is shared by L·K/D connections that run at random
  times, so rows rarely collide.
- (b) by input: g is written once (4·B/K, to and from L2 if the chunk fits) and read once for each connection, 4·B bytes; before
  it the index of the chunk is sorted (a stable radix sort of 16 significant bits with 64-bit values moves some 50 bytes a
  pass through L2: 0.7 ns a key), and order and old weights are read (12 bytes).
If atomics went at half of the rate of reads, both would meet at B = 850. Measured on an H200 (results/reference/kernels_gpu.csv;
L = 670,091, K = 32, float32, SGD) they do not: the step takes 3.0, 4.8, 16, 33 and 68 ms with atomics at B = 64, 128, 512, 1024
and 2048, and 1.9 to 2.0 times as long by input at each of them. So atomics are always taken, but for one thing: they add in any
order, and bits change from run to run. Under `torch.use_deterministic_algorithms`, which every run of the suite sets, (b) is
taken. The order could be kept from one rewiring to the next, which would spare the sort, but 4 bytes a connection are twice the
index and as much as the weights: not in a suite about memory.
"""

import torch
import triton
import triton.language as tl

from xmcbench.kernels.triton.update import load_weight


def feature_gradient_way(deterministic: bool | None = None) -> str:
    """Return `atomic` or `by_input`. deterministic: default, what torch was told to use."""
    if torch.are_deterministic_algorithms_enabled() if deterministic is None else deterministic:
        return "by_input"
    return "atomic"


@triton.jit
def by_input(
    order_ptr,
    offset_ptr,
    weight_ptr,
    grad_z_ptr,
    grad_x_ptr,
    labels,
    documents,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    BF16: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Add one chunk's Σ w·g to grad_x_DB. Program: one input × BLOCK_B documents.

    order: connections (row · K + slot of the chunk's index) sorted stably by input. offset: where each input's begin.
    weight: the chunk's weights of before the step. labels: of the chunk.
    """
    d = tl.program_id(0)
    b = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    real = b < documents
    end = tl.load(offset_ptr + d + 1)
    total = tl.zeros([BLOCK_B], tl.float32)
    for start in range(tl.load(offset_ptr + d), end, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        connection = tl.load(order_ptr + c, mask=c < end, other=0)
        for member in range(GROUP):
            label = connection // K * GROUP + member
            there = (c < end) & (label < labels)
            w = load_weight(weight_ptr + label * K + connection % K, there, BF16)
            place = grad_z_ptr + (label * documents)[:, None] + b[None, :]
            g = tl.load(place, mask=there[:, None] & real[None, :], other=0.0)
            total += tl.sum(w[:, None] * g, axis=0)
    place = grad_x_ptr + d * documents + b
    tl.store(place, tl.load(place, mask=real, other=0.0) + total, mask=real)
