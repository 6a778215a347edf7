"""Device functions of the loss: which documents are positive for a label, and loss and gradient of a tile of scores."""

import triton
import triton.language as tl

SQUARED_HINGE = tl.constexpr(0)
BCE = tl.constexpr(1)
#: No loss: the score gradients are given.
GIVEN = tl.constexpr(2)


@triton.jit
def is_positive(row_ptr, begin, count, most, b):
    """Tell for each document of b whether it is among the `count` sorted rows from `begin` on.

    begin, count: int32, of the shape of b or broadcast to it. most: the largest count. A search by halves: a label of
    500 positives costs 9 loads a document and one of none costs none; a row given twice is found once.
    """
    base = begin + b * 0
    n = count
    while most > 1:
        half = n // 2
        probe = tl.load(row_ptr + base + half - 1, mask=(half > 0) & (b >= 0), other=2147483647)
        base = tl.where(probe < b, base + half, base)
        n = n - half
        most = most - most // 2
    found = tl.load(row_ptr + base, mask=(n > 0) & (b >= 0), other=-1)
    return found == b


@triton.jit
def loss_and_gradient(z, positive, size, LOSS: tl.constexpr):
    """Return each output's loss and `size` times its gradient."""
    if LOSS == SQUARED_HINGE:
        sign = tl.where(positive, -1.0, 1.0)
        margin = 1 + sign * z
        margin = tl.where(margin < 0, 0.0, margin)  # a NaN stays one
        return margin * margin, 2 * size * sign * margin
    else:
        e = tl.exp(-tl.abs(z))
        d = 1 + e
        # softplus(z) = max(z, 0) + log(1 + e^−|z|); what rounding took from 1 + e is added to first order.
        term = tl.where(z < 0, 0.0, z) + tl.log(d) + (e - (d - 1))
        sigmoid = tl.where(z < 0, e, 1.0) / d
        return term - tl.where(positive, z, 0.0), size * (sigmoid - tl.where(positive, 1.0, 0.0))
