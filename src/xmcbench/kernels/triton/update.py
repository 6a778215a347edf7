"""Device functions of one optimiser step: weights as stored, rules, and stochastic rounding to bfloat16.

bfloat16 arrives as int16 bits: widening them is a shift, rounding an addition, and neither needs a bfloat16 type.
The random bits are those of `cpu/vector.hpp`: a function of (key, label, slot), not of who asks or when.
"""

import triton
import triton.language as tl

SGD = tl.constexpr(0)
MOMENTUM = tl.constexpr(1)
ADAMW = tl.constexpr(2)
#: No rule: the gradient itself is kept, where the first moment would be.
KEEP = tl.constexpr(3)


@triton.jit
def label_key(key, label):
    """Return 32 bits of the step's key and a label (splitmix64's finaliser). key, label: int64."""
    h = key.to(tl.uint64) + label.to(tl.uint64) * 0x9E3779B97F4A7C15
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB
    return ((h ^ (h >> 31)) >> 16).to(tl.uint32)


@triton.jit
def random16(label_key, slot):
    """Return 16 random bits of a label's key and a slot."""
    x = label_key ^ (slot.to(tl.uint32) * 0x9E3779B1)
    x ^= x >> 16
    x *= 0x7FEB352D
    x ^= x >> 15
    x *= 0x846CA68B
    return x >> 16


@triton.jit
def load_weight(ptr, mask, BF16: tl.constexpr):
    """Return weights as float32; zero where masked out."""
    if BF16:
        bits = tl.load(ptr, mask=mask, other=0).to(tl.int32) << 16
        return bits.to(tl.float32, bitcast=True)
    else:
        return tl.load(ptr, mask=mask, other=0.0)


@triton.jit
def store_weight(ptr, w, mask, label_key, slot, BF16: tl.constexpr):
    """Write float32 weights back, up with the probability that makes the mean right if they are stored as bfloat16."""
    if BF16:
        bits = w.to(tl.uint32, bitcast=True) + random16(label_key, slot)
        tl.store(ptr, (bits >> 16).to(tl.uint16).to(tl.int16, bitcast=True), mask=mask)
    else:
        tl.store(ptr, w, mask=mask)


@triton.jit
def advance(
    weight_ptr,
    first_ptr,
    second_ptr,
    row,
    slot,
    mask,
    w,
    g,
    label_key,
    numbers,
    RULE: tl.constexpr,
    BF16: tl.constexpr,
):
    """Move weights w (as loaded) at `row + slot` by their gradient g; decay is decoupled in every rule.

    Row and slot are added to pointers one after the other, here and everywhere in this package: slots then become constant
    offsets of one address, not addresses of two registers each.
    numbers: rate, 1 − rate·decay, μ, β₁, β₂, ε, 1/(1 − β₁ᵗ), 1/√(1 − β₂ᵗ).
    """
    if RULE == KEEP:
        tl.store(first_ptr + row + slot, g, mask=mask)
    else:
        rate, keep, momentum, beta1, beta2, epsilon, whole1, root2 = numbers
        if RULE == SGD:
            w = w * keep - rate * g
        elif RULE == MOMENTUM:
            first = momentum * tl.load(first_ptr + row + slot, mask=mask, other=0.0) + g
            tl.store(first_ptr + row + slot, first, mask=mask)
            w = w * keep - rate * first
        else:
            first = beta1 * tl.load(first_ptr + row + slot, mask=mask, other=0.0) + (1 - beta1) * g
            second = beta2 * tl.load(second_ptr + row + slot, mask=mask, other=0.0) + (1 - beta2) * g * g
            tl.store(first_ptr + row + slot, first, mask=mask)
            tl.store(second_ptr + row + slot, second, mask=mask)
            w = w * keep - rate * whole1 * first / (tl.sqrt(second) * root2 + epsilon)
        store_weight(weight_ptr + row + slot, w, mask, label_key, slot, BF16)
