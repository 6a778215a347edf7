"""What a run ran on, and how much memory its process has touched."""

import os
import platform
import re
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import xmcbench


def peak_rss_bytes() -> int:
    """Return the largest resident size this process has had (VmHWM; ru_maxrss where there is no /proc)."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def shares_machine() -> bool:
    """Tell whether something else is said to run beside this process, so that its seconds say nothing."""
    return os.environ.get("XMCBENCH_SHARED_MACHINE", "") not in ("", "0")


def environment(device: str) -> dict[str, Any]:
    """Describe machine and software; `hardware` is a slug that tells machines apart in tables."""
    cpu = _cpu_model()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = torch.cuda.get_device_name() if device == "cuda" else f"{cpu} {cores} cores"
    return {
        "hardware": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "cpu": cpu,
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "xmcbench": xmcbench.__version__,
        "threads": torch.get_num_threads(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    known = cpu_name(info.read_text()) if info.is_file() else ""
    return known or platform.processor() or platform.machine()


def cpu_name(info: str) -> str:
    """Return the processor's name in the words of /proc/cpuinfo, "" if it gives none.

    Virtual machines hide the model (`AMD EPYC`): seconds of two processors must not pass for one machine's, so that a name
    without a number gets the family's and the model's.
    """
    facts: dict[str, str] = {}
    for line in info.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name", "")
    if not name or re.search(r"\d", name) or not {"cpu family", "model"} <= facts.keys():
        return name
    return f"{name} family {facts['cpu family']} model {facts['model']}"
