"""G labels that share a row of inputs: the rows are gathered once, and the rest is small products (`tl.dot`).

Arithmetic. A group's K rows of B documents are gathered twice (8·K·B bytes) and its feature gradient is added once
(4·K·B), for 6·G·K·B operations: G/2 operations a byte of L2 traffic. At 5 TB/s that is 40 Tflop/s with G = 16, twice what
an A100 does in float32 without tensor cores. So products are tensor-core products: of bfloat16 where the weights are that
(features and score gradients are rounded to it, sums are float32), else of TF32 in three parts (`tf32x3`), which keeps
float32's accuracy at a third of the rate (52 Tflop/s on an A100).

The gradient by the weights sums over documents, of which registers hold 32 at a time (three kinds of products and their
operands fill 120 to 230 registers a thread then; 64 documents spill). So score gradients are written once to a bounded
array (`shapes.CHUNK_BYTES` for the labels of a launch) and read back for every 32 slots, by the program that wrote them:
4·B·(1 + K/32) bytes a label beside 12·K·B/G; a quarter more with G = 16 and K = 256.
"""

import triton
import triton.language as tl

from xmcbench.kernels.triton.loss import GIVEN, is_positive, loss_and_gradient
from xmcbench.kernels.triton.update import KEEP, advance, label_key, load_weight


@triton.jit
def product(a, b, c, NARROW: tl.constexpr):
    """Return c + a·b. NARROW: in bfloat16 (never in the interpreter, whose bfloat16 products are wrong)."""
    if NARROW:
        return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16), c)
    else:
        return tl.dot(a, b, c, input_precision="tf32x3")


@triton.jit
def _members(block, first_label, last_label, GROUP: tl.constexpr, BLOCK_G: tl.constexpr):
    """Return the labels (int64) that a program has of its group, which of them exist, and the group."""
    parts: tl.constexpr = (GROUP + BLOCK_G - 1) // BLOCK_G
    member = block % parts * BLOCK_G + tl.arange(0, BLOCK_G)
    row = first_label // GROUP + (block // parts).to(tl.int64)
    label = row * GROUP + member
    return label, (member < GROUP) & (label < last_label), row


@triton.jit
def _rows(x_ptr, index_ptr, row, slot, inside, b, documents, K: tl.constexpr):
    """Return where a block of the group's rows of x_DB begin, their mask, and the rows."""
    i = tl.load(index_ptr + row * K + slot, mask=inside, other=0).to(tl.int32)
    place = (i * documents)[:, None]
    there = inside[:, None] & (b < documents)[None, :]
    return place, there, tl.load(x_ptr + place + b[None, :], mask=there, other=0.0)


@triton.jit
def group_scores(
    x_ptr,
    weight_ptr,
    index_ptr,
    bias_ptr,
    label,
    exists,
    row,
    b,
    documents,
    K: tl.constexpr,
    BF16: tl.constexpr,
    NARROW: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Return the scores of a program's labels and one tile of documents."""
    bias = tl.load(bias_ptr + label, mask=exists, other=0.0)
    z = tl.zeros([BLOCK_G, BLOCK_B], tl.float32) + bias[:, None]
    for start in range(0, K, BLOCK_K):
        slot = start + tl.arange(0, BLOCK_K)
        inside = slot < K
        w = load_weight(
            weight_ptr + (label * K)[:, None] + slot[None, :], exists[:, None] & inside[None, :], BF16
        )
        _, _, x = _rows(x_ptr, index_ptr, row, slot, inside, b, documents, K)
        z = product(w, x, z, NARROW)
    return z


@triton.jit
def group_forward(
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
    NARROW: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Write z_LB. Program: BLOCK_G labels of a group × BLOCK_B documents."""
    label, exists, row = _members(tl.program_id(0), 0, labels, GROUP, BLOCK_G)
    b = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    z = group_scores(
        x_ptr,
        weight_ptr,
        index_ptr,
        bias_ptr,
        label,
        exists,
        row,
        b,
        documents,
        K,
        BF16,
        NARROW,
        BLOCK_G,
        BLOCK_K,
        BLOCK_B,
    )
    place = z_ptr + (label * documents)[:, None] + b[None, :]
    tl.store(place, z, mask=exists[:, None] & (b < documents)[None, :])


@triton.jit(do_not_specialize=["key", "first_label", "last_label"])
def group_step(
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
    NARROW: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Train labels [first_label, last_label), whole groups. Program: BLOCK_G labels of a group × all documents.

    As `fan_in.step`, but that grad_z is written in any case.
    """
    label, exists, row = _members(tl.program_id(0), first_label, last_label, GROUP, BLOCK_G)
    mine = grad_z_ptr + (label - first_label) * documents
    share = tl.zeros([BLOCK_G], tl.float32) + 1.0
    if label_weight_ptr is not None:
        share = tl.load(label_weight_ptr + label, mask=exists, other=0.0)
    loss = tl.zeros([], tl.float32)
    zeros = tl.zeros([], tl.int32)
    total = tl.zeros([BLOCK_G], tl.float32)
    bound = tl.zeros([BLOCK_G], tl.float32)
    live = tl.zeros([BLOCK_G], tl.int32)
    for tile in range(0, documents, BLOCK_B):
        b = tile + tl.arange(0, BLOCK_B)
        real = exists[:, None] & (b < documents)[None, :]
        place = mine[:, None] + b[None, :]
        if LOSS == GIVEN:
            g = tl.load(place, mask=real, other=0.0)
        else:
            z = group_scores(
                x_ptr,
                weight_ptr,
                index_ptr,
                bias_ptr,
                label,
                exists,
                row,
                b,
                documents,
                K,
                BF16,
                NARROW,
                BLOCK_G,
                BLOCK_K,
                BLOCK_B,
            )
            begin = tl.load(offset_ptr + label, mask=exists, other=0)
            count = tl.load(offset_ptr + label + 1, mask=exists, other=0) - begin
            positive = is_positive(row_ptr, begin[:, None], count[:, None], tl.max(count), b[None, :])
            term, g = loss_and_gradient(z, positive, (scale * share)[:, None], LOSS)
            g = tl.where(real, g, 0.0)
            loss += tl.sum(tl.sum(tl.where(real, term, 0.0), axis=1) * share)
            zeros += tl.sum(tl.sum((real & (g == 0)).to(tl.int32), axis=1))
            tl.store(place, g, mask=real)
        total += tl.sum(g, axis=1)
        bound += tl.sum(tl.abs(g), axis=1)
        live |= tl.max((g != 0).to(tl.int32), axis=1)
    alive = live > 0
    moves = exists
    if RULE != KEEP:
        sound = (bound * tl.load(largest_ptr) < float("inf")) | (live == 0)
        moves = exists & sound
        program = tl.program_id(0)
        tl.store(loss_ptr + program, loss)
        tl.store(count_ptr + 3 * program, zeros)
        tl.store(count_ptr + 3 * program + 1, tl.sum((exists & (live == 0)).to(tl.int32)))
        wrong = tl.where(exists & (sound == 0), label.to(tl.int32), 2147483647)
        tl.store(count_ptr + 3 * program + 2, tl.min(wrong))
    rounding = label_key(key.to(tl.int64), label)
    some = tl.max((moves & alive).to(tl.int32)) > 0
    # The programs' threads read back what others of them wrote.
    tl.debug_barrier()
    for start in range(0, K, BLOCK_K):
        slot = start + tl.arange(0, BLOCK_K)
        inside = slot < K
        mask = moves[:, None] & inside[None, :]
        w = load_weight(weight_ptr + (label * K)[:, None] + slot[None, :], mask, BF16)
        gradient = tl.zeros([BLOCK_G, BLOCK_K], tl.float32)
        if some:
            for tile in range(0, documents, BLOCK_B):
                b = tile + tl.arange(0, BLOCK_B)
                real = moves[:, None] & (b < documents)[None, :]
                of_tile = tl.load(mine[:, None] + b[None, :], mask=real, other=0.0)
                place, there, x = _rows(x_ptr, index_ptr, row, slot, inside, b, documents, K)
                if ATOMIC:
                    nothing = tl.zeros([BLOCK_K, BLOCK_B], tl.float32)
                    tl.atomic_add(
                        grad_x_ptr + place + b[None, :],
                        product(tl.trans(w), of_tile, nothing, NARROW),
                        mask=there,
                        sem="relaxed",
                    )
                gradient = product(of_tile, tl.trans(x), gradient, NARROW)
        advance(
            weight_ptr,
            first_ptr,
            second_ptr,
            (label * K)[:, None],
            slot[None, :],
            mask,
            w,
            gradient,
            rounding[:, None],
            numbers,
            RULE,
            BF16,
        )
    bias = tl.load(bias_ptr + label, mask=moves, other=0.0)
    advance(
        bias_ptr,
        bias_first_ptr,
        bias_second_ptr,
        label,
        0,
        moves,
        bias,
        total,
        rounding,
        bias_numbers,
        RULE,
        False,
    )
