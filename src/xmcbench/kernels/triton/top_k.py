"""The k best labels of each document, exact and streaming: a program keeps k keys a document for its part of the labels.

A key is one int64: the score's bits, turned so that their order is the scores' order, above the inverted label, so that of
equal scores the smaller label is larger. All keys differ, which makes "replace the worst" one comparison.

Arithmetic. After n labels a new one enters with chance k/n, so a block of 16 labels × 64 documents rarely needs more than
one or two rounds of "take each document's best newcomer"; a round costs about as much as four slots of the scores. Memory:
8·k bytes a document and part.
"""

import triton
import triton.language as tl

from xmcbench.kernels.triton.group import group_scores
from xmcbench.kernels.triton.update import load_weight


@triton.jit
def _keys(z, label):
    """Return keys of scores; a NaN is below everything. −0 and +0 tie."""
    bits = tl.where(z == 0, 0.0, z).to(tl.int32, bitcast=True)
    rising = bits ^ ((bits >> 31) & 2147483647)
    key = (rising.to(tl.int64) << 32) | (2147483647 - label).to(tl.int64)
    return tl.where(z == z, key, -9223372036854775808)


@triton.jit
def top_k(
    x_ptr,
    weight_ptr,
    index_ptr,
    bias_ptr,
    key_ptr,
    labels,
    documents,
    blocks,
    k,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    BF16: tl.constexpr,
    NARROW: tl.constexpr,
    DOT: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Write the k best keys, in no order, of each part of the labels (parts × B × k). Program: a part × BLOCK_B documents.

    blocks: of labels in a part. DOT: a block is BLOCK_L labels of one group, scored by products; else any BLOCK_L
    neighbours. A place that no label took holds a key whose upper half is −2³¹.
    """
    part = tl.program_id(0)
    b = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    real = b < documents
    place = tl.arange(0, PLACES)
    # Places beyond k hold the largest key, so that they are never the worst one.
    empty = tl.where(place < k, -9223372036854775808 + place.to(tl.int64), 9223372036854775807)
    best = tl.zeros([BLOCK_B, PLACES], tl.int64) + empty[None, :]
    worst = tl.min(best, axis=1)
    members: tl.constexpr = (GROUP + BLOCK_L - 1) // BLOCK_L
    for i in range(blocks):
        block = part * blocks + i
        if DOT:
            member = block % members * BLOCK_L + tl.arange(0, BLOCK_L)
            row = (block // members).to(tl.int64)
            label = row * GROUP + member
            exists = (member < GROUP) & (label < labels)
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
                BLOCK_L,
                BLOCK_K,
                BLOCK_B,
            )
        else:
            label = block.to(tl.int64) * BLOCK_L + tl.arange(0, BLOCK_L)
            exists = label < labels
            z = (
                tl.zeros([BLOCK_L, BLOCK_B], tl.float32)
                + tl.load(bias_ptr + label, mask=exists, other=0.0)[:, None]
            )
            for j in range(K):
                w = load_weight(weight_ptr + label * K + j, exists, BF16)
                d = tl.load(index_ptr + label // GROUP * K + j, mask=exists, other=0).to(tl.int32)
                there = exists[:, None] & real[None, :]
                z += w[:, None] * tl.load(
                    x_ptr + (d * documents)[:, None] + b[None, :], mask=there, other=0.0
                )
        key = _keys(z, label.to(tl.int32)[:, None])
        key = tl.where(exists[:, None] & real[None, :], key, -9223372036854775808)
        newcomer = tl.max(key, axis=0)
        while tl.max((newcomer > worst).to(tl.int32)) > 0:
            enters = (best == worst[:, None]) & (newcomer > worst)[:, None]
            best = tl.where(enters, newcomer[:, None], best)
            worst = tl.min(best, axis=1)
            key = tl.where(key == newcomer[None, :], -9223372036854775808, key)
            newcomer = tl.max(key, axis=0)
    to = (part.to(tl.int64) * documents + b)[:, None] * k + place[None, :]
    tl.store(key_ptr + to, best, mask=real[:, None] & (place < k)[None, :])
