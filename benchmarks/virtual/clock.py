"""A clock that runs while the orchestrator works, and jumps where it would wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds since it was started.

    `of_core`: those that the process is on a core, as on a machine with one to spare for it. A disk or a server that it
    waits for is not in these.
    """

    def __init__(self, *, of_core: bool = False) -> None:
        self._of_core = of_core
        self.start()

    def start(self) -> None:
        """From zero."""
        self._since, self._cpu_since = time.perf_counter(), time.process_time()
        self._jumped = 0.0

    @property
    def worked(self) -> float:
        """Seconds that ran: without those that were jumped over, and those apart."""
        return time.perf_counter() - self._since

    @property
    def worked_cpu(self) -> float:
        """Of these the seconds that this process had a core: others may keep it waiting for one."""
        return time.process_time() - self._cpu_since

    @property
    def now(self) -> float:
        """The virtual time."""
        return (self.worked_cpu if self._of_core else self.worked) + self._jumped

    def jump(self, seconds: float) -> None:
        """Waits."""
        self._jumped += seconds

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is done meanwhile takes no time: it is the simulation's, and others would do it elsewhere."""
        begun, cpu_begun = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._since += time.perf_counter() - begun
            self._cpu_since += time.process_time() - cpu_begun
