"""The tests. Two processes of them share a machine's cores, so a thread that waits for another one must not spin."""

import os

# Before torch is loaded: its OpenMP reads this once.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
