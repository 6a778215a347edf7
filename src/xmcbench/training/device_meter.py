"""What a GPU is asked: the most memory that tensors held on it, and that a clock waits for its work. A CPU is asked nothing.

The peak is `torch.cuda.max_memory_allocated`, what the paper prints (its appendix F): bytes of tensors, without what the
allocator keeps in reserve and without CUDA's own context.
"""

import torch


class DeviceMeter:
    """Meters one device; on a CPU every call does nothing, and there is no peak."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def start(self) -> None:
        """Let the work before end, and forget the peak so far: what stays counted is what is alive now."""
        self.wait()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def wait(self) -> None:
        """Return when the device has done everything it was given: a clock that is read earlier misses that."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def peak_bytes(self) -> int | None:
        """Return the most bytes that tensors held since `start`; None on a CPU, where no such number exists."""
        if self._device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self._device))
