"""Stochastic rounding to narrow floats: up with the probability that makes the mean right.

Updates smaller than half a step of the narrow format would be lost by rounding to the nearest; here they are kept on
average, so that no wide copy of the weights is needed (ELMO, arXiv 2510.11168).
"""

from collections.abc import Callable

import torch
from torch import Tensor

#: Largest E4M3 value, and the exponent below which its steps no longer shrink.
E4M3_MOST, E4M3_LEAST_NORMAL, E4M3_STEP = 448.0, 2.0**-6, 2.0**-9


def stochastic_bfloat16(wide: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Round float32 to bfloat16: 16 random bits are added below the last one that is kept."""
    noise = torch.randint(0, 1 << 16, wide.shape, dtype=torch.int32, device=wide.device, generator=generator)
    return ((wide.contiguous().view(torch.int32) + noise) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)


def stochastic_e4m3(wide: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Round float32 to E4M3 (3 bits of mantissa, so 20 random bits); what is too large becomes ±448, never NaN."""
    noise = torch.randint(0, 1 << 20, wide.shape, dtype=torch.int32, device=wide.device, generator=generator)
    clamped = wide.clamp(-E4M3_MOST, E4M3_MOST).contiguous()
    normal = ((clamped.view(torch.int32) + noise) & -(1 << 20)).view(torch.float32)
    # Below the least normal value the steps are equal.
    subnormal = torch.floor(clamped / E4M3_STEP + noise / (1 << 20)) * E4M3_STEP
    rounded = torch.where(clamped.abs() < E4M3_LEAST_NORMAL, subnormal, normal)
    return rounded.clamp_(-E4M3_MOST, E4M3_MOST).to(torch.float8_e4m3fn)


#: How a parameter of a narrow dtype is written back.
NARROW: dict[torch.dtype, Callable[[Tensor, torch.Generator | None], Tensor]] = {
    torch.bfloat16: stochastic_bfloat16,
    torch.float8_e4m3fn: stochastic_e4m3,
}
