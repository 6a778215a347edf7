"""Products of float32 with bfloat16 matrices on a GPU's tensor cores, the narrow one read as it lies.

A float32 number is the sum of three bfloat16 ones: 24 bits of mantissa are three times 8, and the exponents are the same. Tensor
cores multiply bfloat16 exactly and add up in float32, so that three of their products are one in float32, without a wide copy of
the weights. As torch says of `torch.set_float32_matmul_precision`: `high` allows two parts (16 bits), `medium` one.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

PARTS = {"highest": 3, "high": 2, "medium": 1}


def bfloat16_parts(wide: Tensor, count: int = 3) -> Iterator[Tensor]:
    """Yield `count` bfloat16 tensors whose sum is `wide`: exactly so with three, but for what lies below 2⁻¹²⁶·2¹⁶."""
    rest = wide.clone() if count > 1 else wide
    for _ in range(count - 1):
        part = rest.to(torch.bfloat16)
        yield part
        rest.sub_(part)
    yield rest.to(torch.bfloat16)


def add_product(total_MN: Tensor, wide_MK: Tensor, narrow_KN: Tensor) -> Tensor:
    """Add wide·narrow to float32 `total_MN` in place and return it; wide: float32, narrow: bfloat16."""
    if not narrow_KN.is_cuda:  # under TRITON_INTERPRET=1
        return total_MN.addmm_(wide_MK, narrow_KN.to(wide_MK.dtype))
    for part_MK in bfloat16_parts(wide_MK, PARTS[torch.get_float32_matmul_precision()]):
        total_MN.add_(torch.mm(part_MK, narrow_KN, out_dtype=torch.float32))
    return total_MN
