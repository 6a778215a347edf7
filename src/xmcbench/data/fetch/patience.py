"""How long a download waits, how often it tries again, and how much it takes at most."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Time in seconds, sizes in bytes; the defaults suit archives of gigabytes on a home line."""

    connect_seconds: float = 30.0
    #: The longest silence between two pieces of a body.
    stall_seconds: float = 60.0
    #: Attempts in a row that bring nothing new.
    attempts: int = 6
    first_wait_seconds: float = 2.0
    longest_wait_seconds: float = 120.0
    redirects: int = 10
    #: More than any published set has; a server that goes on for ever is cut off here.
    largest_bytes: int = 256 << 30

    def wait(self, attempt: int, asked: float | None) -> float:
        """Return the seconds before the next attempt: doubling, between half and all of it, or as the server asked."""
        if asked is not None:
            return min(asked, self.longest_wait_seconds)
        longest = min(self.first_wait_seconds * 2.0 ** (attempt - 1), self.longest_wait_seconds)
        # Many readers that one outage cut off must not come back at the same moment.
        return longest * random.uniform(0.5, 1.0)
