"""The kernels for GPUs, in Triton; `launch` is the door, and nothing here is imported on a machine that needs none of it."""
