"""The operations of a fixed fan-in layer: `reference` is the slow truth, `cpu/` (C++) and torch blocks are fast."""

from xmcbench.kernels.dispatch import BACKENDS, choose, native

__all__ = ["BACKENDS", "choose", "native"]
