"""Fixed fan-in on a GPU: scores, and the fused step, with all documents of a label in the registers of one program.

Arithmetic, for each connection and B documents. Memory: weight, index and moments go to and from DRAM once (10 bytes with
float32, uint16 and SGD; 26 with AdamW). L2: two gathered rows of x and one added row of the feature gradient, 12·B bytes;
with B = 128 that is 1.5 KB beside 10 bytes, so the step is bound by L2 (some 5 TB/s on an A100 or H100: 0.3 ns a
connection), not by DRAM (1.5 to 3 TB/s) and not by 6·B operations (19.5 to 67 Tflop/s). Measured on an H200 with K = 32 and
L = 670,091: 0.22 ns a connection at B = 128, 0.14 at 64, 0.75 at 512. What follows from it:
- documents lie side by side (x_DB): a gathered row is whole sectors, 512 bytes of B = 128;
- a block of slots is gathered at once, so that a warp has 4 KB in flight;
- a program is one warp up to B = 512, since sums over documents then are shuffles and no barrier is ever waited for.
"""

import triton
import triton.language as tl

from xmcbench.kernels.triton.loss import GIVEN, is_positive, loss_and_gradient
from xmcbench.kernels.triton.update import KEEP, SGD, advance, label_key, load_weight


@triton.jit
def _connections(x_ptr, weight_ptr, index_ptr, label, start, b, real, documents, K, GROUP, BF16, BLOCK_K):
    """Return slots, their mask, weights, where their rows of x begin, the mask of these and the rows, of one label."""
    slot = start + tl.arange(0, BLOCK_K)
    inside = slot < K
    w = load_weight(weight_ptr + label * K + slot, inside, BF16)
    i = tl.load(index_ptr + label // GROUP * K + slot, mask=inside, other=0).to(tl.int32)
    place = (i * documents)[:, None]
    there = inside[:, None] & real[None, :]
    return slot, inside, w, place, there, tl.load(x_ptr + place + b[None, :], mask=there, other=0.0)


@triton.jit
def _scores(
    x_ptr,
    weight_ptr,
    index_ptr,
    bias_ptr,
    label,
    b,
    real,
    documents,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    BF16: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    z = tl.zeros([BLOCK_B], tl.float32) + tl.load(bias_ptr + label)
    for start in range(0, K, BLOCK_K):
        _, _, w, _, _, x = _connections(
            x_ptr, weight_ptr, index_ptr, label, start, b, real, documents, K, GROUP, BF16, BLOCK_K
        )
        z += tl.sum(w[:, None] * x, axis=0)
    return z


@triton.jit
def forward(
    x_ptr,
    weight_ptr,
    index_ptr,
    bias_ptr,
    z_ptr,
    labels,
    documents,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    BF16: tl.constexpr,
    LABELS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Write z_LB. Program: LABELS labels × BLOCK_B documents."""
    b = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    real = b < documents
    for i in range(LABELS):
        label = tl.program_id(0).to(tl.int64) * LABELS + i
        if label < labels:
            z = _scores(
                x_ptr,
                weight_ptr,
                index_ptr,
                bias_ptr,
                label,
                b,
                real,
                documents,
                K,
                GROUP,
                BF16,
                BLOCK_K,
                BLOCK_B,
            )
            tl.store(z_ptr + label * documents + b, z, mask=real)


@triton.jit(do_not_specialize=["key", "first_label", "last_label"])
def step(
    x_ptr,
    weight_ptr,
    index_ptr,
    bias_ptr,
    first_ptr,
    second_ptr,
    bias_first_ptr,
    bias_second_ptr,
    offset_ptr,
    row_ptr,
    label_weight_ptr,
    largest_ptr,
    grad_z_ptr,
    grad_x_ptr,
    loss_ptr,
    count_ptr,
    first_label,
    last_label,
    documents,
    scale,
    numbers,
    bias_numbers,
    key,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    LOSS: tl.constexpr,
    RULE: tl.constexpr,
    BF16: tl.constexpr,
    ATOMIC: tl.constexpr,
    LABELS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Train labels [first_label, last_label). Program: LABELS labels, one after another, × all documents.

    offset, row: CSR of the positives by label. largest: max |x|. grad_z: the score gradients of these labels, read if
    LOSS is GIVEN, written if not ATOMIC. loss, count: of each program, the sum of its losses, and three numbers: zero
    score gradients, labels skipped, first label with a non-finite gradient (or 2³¹ − 1), which keeps its weights.

    A gradient counts as non-finite if the bound Σ|g|·max|x| overflows: it is known before the first weight is written, and
    differs from the gradients themselves only within a factor B·D of the end of float32.
    """
    b = tl.arange(0, BLOCK_B)
    real = b < documents
    loss = tl.zeros([], tl.float32)
    zeros = tl.zeros([], tl.int32)
    skipped = tl.zeros([], tl.int32)
    bad = tl.full([], 2147483647, tl.int32)
    for i in range(LABELS):
        chunk_label = tl.program_id(0).to(tl.int64) * LABELS + i
        label = chunk_label + first_label
        if label < last_label:
            if LOSS == GIVEN:
                g = tl.load(grad_z_ptr + chunk_label * documents + b, mask=real, other=0.0)
                sound = tl.full([], 1, tl.int1)
            else:
                z = _scores(
                    x_ptr,
                    weight_ptr,
                    index_ptr,
                    bias_ptr,
                    label,
                    b,
                    real,
                    documents,
                    K,
                    GROUP,
                    BF16,
                    BLOCK_K,
                    BLOCK_B,
                )
                begin = tl.load(offset_ptr + label)
                count = tl.load(offset_ptr + label + 1) - begin
                positive = is_positive(row_ptr, begin, count, count, b)
                share = 1.0
                if label_weight_ptr is not None:
                    share = tl.load(label_weight_ptr + label)
                term, g = loss_and_gradient(z, positive, scale * share, LOSS)
                g = tl.where(real, g, 0.0)
                loss += tl.sum(tl.where(real, term, 0.0)) * share
                zeros += tl.sum((real & (g == 0)).to(tl.int32))
                if not ATOMIC:
                    tl.store(grad_z_ptr + chunk_label * documents + b, g, mask=real)
                sound = tl.sum(tl.abs(g)) * tl.load(largest_ptr) < float("inf")
            live = tl.max((g != 0).to(tl.int32)) > 0
            skipped += 1 - live.to(tl.int32)
            if live & (sound == 0):
                bad = tl.minimum(bad, label.to(tl.int32))
            else:
                rounding = label_key(key.to(tl.int64), label)
                # With plain SGD and no decay a label without gradient stays where it is.
                if (RULE != SGD) | live | (numbers[1] != 1):
                    for start in range(0, K, BLOCK_K):
                        slot, inside, w, place, there, x = _connections(
                            x_ptr,
                            weight_ptr,
                            index_ptr,
                            label,
                            start,
                            b,
                            real & live,
                            documents,
                            K,
                            GROUP,
                            BF16,
                            BLOCK_K,
                        )
                        gradient = tl.sum(x * g[None, :], axis=1)
                        advance(
                            weight_ptr,
                            first_ptr,
                            second_ptr,
                            label * K,
                            slot,
                            inside,
                            w,
                            gradient,
                            rounding,
                            numbers,
                            RULE,
                            BF16,
                        )
                        if ATOMIC:
                            tl.atomic_add(
                                grad_x_ptr + place + b[None, :],
                                w[:, None] * g[None, :],
                                mask=there,
                                sem="relaxed",
                            )
                bias = tl.load(bias_ptr + label)
                advance(
                    bias_ptr,
                    bias_first_ptr,
                    bias_second_ptr,
                    label,
                    0,
                    True,
                    bias,
                    tl.sum(g),
                    rounding,
                    bias_numbers,
                    RULE,
                    False,
                )
    if RULE != KEEP:
        program = tl.program_id(0)
        tl.store(loss_ptr + program, loss)
        tl.store(count_ptr + 3 * program, zeros)
        tl.store(count_ptr + 3 * program + 1, skipped)
        tl.store(count_ptr + 3 * program + 2, bad)
