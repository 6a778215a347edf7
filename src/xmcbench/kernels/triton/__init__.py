"""The kernels for GPUs, in Triton; `host` is the door, and nothing here is imported on a machine that needs none of it."""
