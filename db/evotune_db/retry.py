"""Wait for a database server that does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable

# Outages of a minute are survived, with time for the server to recover.
RETRY_SECONDS = 90.0
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 5.0

Notify = Callable[[str], None]


class Retry:
    """The attempts at one piece of work: each waits longer than the one before, until RETRY_SECONDS are over.

    The time counts from the start of the first attempt, which alone takes 40 s to fail on a network that is cut.
    """

    def __init__(self, notify: Notify) -> None:
        """Start the first attempt now; `notify` gets a line when waiting begins, and when the server answers again."""
        self._notify, self._since = notify, time.monotonic()
        self._failed = False
        self._delay = FIRST_DELAY_SECONDS

    def wait(self, error: Exception) -> bool:
        """Wait after a failed attempt; return False when the time for another attempt is over."""
        left = RETRY_SECONDS - (time.monotonic() - self._since)
        if left <= 0:
            return False
        if not self._failed:
            self._notify(f"the database does not answer, trying again for {left:.0f} s: {error}")
        self._failed = True
        time.sleep(self._delay)
        self._delay = min(2 * self._delay, LONGEST_DELAY_SECONDS)
        return True

    def succeeded(self) -> None:
        """Notify that an attempt succeeded, if one had failed before."""
        if self._failed:
            self._notify(f"the database answers again after {time.monotonic() - self._since:.0f} s")
