"""Interruption of a search: Ctrl-C, SIGTERM, a lost terminal, or its time limit."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Any

_OUTPUT, _ERRORS = 1, 2


class Interrupt:
    """While entered, the first SIGINT, SIGTERM or SIGHUP only sets `pressed`; the second has its usual effect.

    A signal that is ignored stays so: `nohup` ignores SIGHUP.
    """

    def __init__(self, time_limit: float | None) -> None:
        """Begin the time limit, in seconds from now; None for no limit."""
        self.pressed = False
        self._deadline = time.monotonic() + time_limit if time_limit is not None else None
        self._before: dict[signal.Signals, Any] = {}
        self._terminals = [stream for stream in (_OUTPUT, _ERRORS) if os.isatty(stream)]

    @property
    def out_of_time(self) -> bool:
        """True when the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def __enter__(self) -> Interrupt:
        """Install the signal handlers."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
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
        if number == signal.SIGHUP:
            self._leave_terminals()

    def _leave_terminals(self) -> None:
        """Print nowhere what would go to a terminal: it is lost, and every write to it would fail."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in self._terminals:
            os.dup2(nowhere, stream)
        os.close(nowhere)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
