"""Encoders: tokens of a batch to features x_BD. One file a kind; the file's name is its `encoder.kind`."""

from xmcbench.encoder.encoder import Encoder, build

__all__ = ["Encoder", "build"]
