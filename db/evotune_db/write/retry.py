"""Waiting for a database server that does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable

# Outages of a minute are survived, with time for the server to recover.
RETRY_SECONDS = 90.0
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 5.0

Tell = Callable[[str], None]


class Patience:
    """For one piece of work: waits longer before every further attempt, until RETRY_SECONDS after the first began.

    It counts from there, since a network that is cut says nothing: the first attempt alone takes 40 s to fail.
    """

    def __init__(self, tell: Tell) -> None:
        """`tell` hears when waiting begins, and when it was worth it. The first attempt begins now."""
        self._tell, self._since = tell, time.monotonic()
        self._failed = False
        self._delay = FIRST_DELAY_SECONDS

    def wait(self, error: Exception) -> bool:
        """Waits after a failed attempt; False when the time for another is over."""
        left = RETRY_SECONDS - (time.monotonic() - self._since)
        if left <= 0:
            return False
        if not self._failed:
            self._tell(f"the database does not answer, trying again for {left:.0f} s: {error}")
        self._failed = True
        time.sleep(self._delay)
        self._delay = min(2 * self._delay, LONGEST_DELAY_SECONDS)
        return True

    def succeeded(self) -> None:
        """Tells, after a failed attempt, that one succeeded."""
        if self._failed:
            self._tell(f"the database answers again after {time.monotonic() - self._since:.0f} s")
