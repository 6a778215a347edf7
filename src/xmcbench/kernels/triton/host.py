"""The door to the Triton kernels: tensors in, kernels launched, tensors out."""

from xmcbench.kernels.triton.dense_chunk_host import dense_update
from xmcbench.kernels.triton.fan_in_host import backward, forward, train_step
from xmcbench.kernels.triton.launch import INTERPRETED
from xmcbench.kernels.triton.top_k_host import best

__all__ = ["INTERPRETED", "backward", "best", "dense_update", "forward", "train_step"]
