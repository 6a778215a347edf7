"""One trainer a run folder: a lock that the operating system releases when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmcbench.errors import RunLockedError


@contextmanager
def run_lock(run_folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the block; raises RunLockedError at once, naming the holder's process id."""
    run_folder.mkdir(parents=True, exist_ok=True)
    with open(run_folder / ".lock", "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise RunLockedError(
                f"{run_folder}: process {holder} is training here; wait for it or end it"
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
