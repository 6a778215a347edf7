"""Seeds torch's generators of one device, once a step."""

import torch


def seed_generators(device: torch.device, seed: int) -> None:
    """Do as `torch.manual_seed` does, for the CPU and this device alone.

    That function asks for every kind of device that there might be and, where there is no GPU, writes down the caller's stack each
    time: 0.13 ms from a shallow one, 0.36 ms in a step of 12, against a microsecond.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
