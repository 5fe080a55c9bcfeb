"""The time that a search may be without any worker."""

from __future__ import annotations

import time

# Without any worker: one that only has to start; and one for which a machine has to be found and booted first.
START_SECONDS = 120.0
GROWTH_SECONDS = 900.0


class StartDeadline:
    """Tells when there has been no worker for too long."""

    def __init__(self) -> None:
        """Start the time."""
        self._since = time.monotonic()
        self._booting = False

    def restart(self) -> None:
        """Start the time again: there is a worker, or other searches hold the GPUs."""
        self._since = time.monotonic()

    def passed(self, booting: bool) -> float | None:
        """Return the limit in seconds once it has passed; `booting`: the cluster has yet to bring a machine.

        When the machine has come, the time starts again, since the worker on it has yet to start.
        """
        if self._booting and not booting:
            self.restart()
        self._booting = booting
        limit = GROWTH_SECONDS if booting else START_SECONDS
        return limit if time.monotonic() - self._since > limit else None
