"""Interruption of a search: Ctrl-C, SIGTERM, or its time limit."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While entered, the first SIGINT or SIGTERM only sets `pressed`; the second has its usual effect."""

    def __init__(self, time_limit: float | None) -> None:
        """Begin the time limit, in seconds from now; None for no limit."""
        self.pressed = False
        self._deadline = time.monotonic() + time_limit if time_limit is not None else None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def out_of_time(self) -> bool:
        """True when the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def __enter__(self) -> Interrupt:
        """Install the signal handlers."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._press)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the earlier handlers."""
        self._restore()

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
