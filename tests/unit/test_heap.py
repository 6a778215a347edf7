"""Freed memory is kept from step to step: pages are not asked for again."""

import os
import subprocess
import sys

import pytest

# Three arrays of 20 MB, made, written and freed forty times, after four to warm up; prints how many pages the system gave.
# Before, the allocator is told to give every array of a megabyte back: what it does by itself depends on what it has seen.
SCRIPT = """
import ctypes, resource, sys
import torch
from xmcbench.training.heap import keep_freed_memory
torch.set_num_threads(1)
ctypes.CDLL(None).mallopt(-3, 1 << 20)
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
def work():
    arrays = [torch.ones(5 << 20) for _ in range(3)]
for _ in range(4): work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40): work()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> tuple[str, int]:
    clean = {n: v for n, v in os.environ.items() if not n.startswith("MALLOC_") and n != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, pages = done.stdout.split()
    return kept, int(pages)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not os.confstr_names.get("CS_GNU_LIBC_VERSION"),
    reason="not glibc",
)
def test_pages_are_not_asked_for_again() -> None:
    kept, pages = faults("keep")
    assert kept == "True"
    # Forty times 60 MB are 600,000 pages of 4 KB. Where what was freed does not fit at once, the heap grows once more.
    assert 3 * pages < faults("leave")[1]


def test_what_the_environment_says_of_the_allocator_stands() -> None:
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"
    assert faults("keep", GLIBC_TUNABLES="glibc.malloc.arena_max=4")[0] == "False"
