"""The dense layer's weight gradient and update in one: W ← W − rate·gᵀx, the gradient never in memory (after ELMO).

Arithmetic. A chunk of l labels has 2·B·l·D operations here and moves its weights once: 2·B operations for 8 bytes of
float32 and SGD, so memory is the limit up to B of some hundreds. The usual way writes the gradient, reads it again in the
optimiser and needs l·D·4 bytes for it; AdamW moves 32 bytes a weight so and 24 here.
"""

import triton
import triton.language as tl

from xmcbench.kernels.triton.group import product
from xmcbench.kernels.triton.update import advance, label_key, load_weight


@triton.jit(do_not_specialize=["key", "first_label"])
def dense_update(
    x_ptr,
    grad_z_ptr,
    weight_ptr,
    first_ptr,
    second_ptr,
    sound_ptr,
    first_label,
    labels,
    documents,
    features,
    numbers,
    key,
    RULE: tl.constexpr,
    BF16: tl.constexpr,
    NARROW: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Update `labels` rows of weights. Program: BLOCK_L labels × BLOCK_D features.

    x: B×D. grad_z: B×labels. sound: one number; if it is zero nothing is written. first_label: of the chunk, whose
    weights and moments the pointers name.
    """
    across = tl.cdiv(features, BLOCK_D)
    label = (tl.program_id(0) // across * BLOCK_L + tl.arange(0, BLOCK_L)).to(tl.int64)
    d = tl.program_id(0) % across * BLOCK_D + tl.arange(0, BLOCK_D)
    total = tl.zeros([BLOCK_L, BLOCK_D], tl.float32)
    for start in range(0, documents, BLOCK_B):
        b = start + tl.arange(0, BLOCK_B)
        real = b < documents
        g = tl.load(
            grad_z_ptr + (b * labels)[None, :] + label[:, None],
            mask=real[None, :] & (label < labels)[:, None],
            other=0.0,
        )
        x = tl.load(
            x_ptr + (b * features)[:, None] + d[None, :],
            mask=real[:, None] & (d < features)[None, :],
            other=0.0,
        )
        total = product(g, x, total, NARROW)
    mask = (label < labels)[:, None] & (d < features)[None, :] & (tl.load(sound_ptr) != 0)
    row = (label * features)[:, None]
    w = load_weight(weight_ptr + row + d[None, :], mask, BF16)
    rounding = label_key(key.to(tl.int64), label + first_label)[:, None]
    advance(weight_ptr, first_ptr, second_ptr, row, d[None, :], mask, w, total, rounding, numbers, RULE, BF16)
