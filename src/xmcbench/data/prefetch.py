"""Batches made ahead of the step that reads them, by threads, in order.

Threads, not processes: a batch is a few array reads in which numpy lets go of the interpreter lock, the token and
label maps are shared as they are, and nothing is pickled. A batch is a pure function of (seed, step), so the number
of workers changes no result and is no part of the recipe.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from xmcbench.data.batches import Batch, Batches
from xmcbench.errors import ConfigError

#: Batches that wait for each worker's next turn.
AHEAD = 2


def ahead(batches: Batches, first: int, end: int, workers: int) -> Generator[Batch, None, None]:
    """Yield the batches of steps first … end−1; with 0 workers each is made when it is asked for.

    Close the iterator to end the threads. Raises ConfigError for a negative number of workers.
    """
    if workers < 0:
        raise ConfigError(f"XMCBENCH_LOADER_WORKERS (--loader-workers): {workers}; allowed: 0 or more")
    steps = iter(range(first, end))
    if workers == 0:
        yield from map(batches.at, steps)
        return
    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(workers, "loader")
    try:
        waiting.extend(pool.submit(batches.at, step) for step in islice(steps, AHEAD * workers))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(batches.at, step) for step in islice(steps, 1))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
