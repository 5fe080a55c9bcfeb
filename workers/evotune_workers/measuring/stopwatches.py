"""Opening a stopwatch on the builds that a session has loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from evotune_workers.child.messages import OpenStopwatch, Request, ReviewUnseen, RunBlocks
from evotune_workers.gates.gate import DIED
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.measuring.child_session import Session
from evotune_workers.measuring.stopwatch_cpu import CpuStopwatch
from evotune_workers.runtimes.turns.turns import TimedInputs
from evotune_workers.timing.stopwatch import CACHE_MULTIPLE, Block, Mode, StopwatchSetup

GATE = "timing"
LIMIT_SECONDS = 120.0


class OpenedStopwatch(Protocol):
    """Times the builds of a session beside the baselines."""

    def setup(self) -> StopwatchSetup:
        """Return how it measures."""

    def blocks(self, count: int, sides: Sequence[str]) -> tuple[Block, ...]:
        """Measure that many ABBA blocks of the named sides."""

    def unseen_errors(self) -> Mapping[str, Errors]:
        """Return the errors of what each candidate gave on unseen inputs."""


def open_stopwatch(
    session: Session, sides: Sequence[str], workload: str, mode: Mode, distribution: str | None = None
) -> OpenedStopwatch:
    """Return a stopwatch on the loaded builds, on inputs of that distribution or the first; raises GateFailed."""
    distribution = distribution or session.kernel.distributions[0]
    if session.device.kind != "cpu":
        return _InOneProcess(session, mode, distribution)
    cold = mode == "cold"
    seeds = session.seeds if cold else session.seeds[:1]
    least_bytes = CACHE_MULTIPLE * session.device.cache_bytes if cold else 0
    inputs = TimedInputs(workload, distribution, seeds, least_bytes)

    def ask(side: str | None, request: Request) -> Any:
        return session.ask(GATE, request, LIMIT_SECONDS, DIED, side)

    return CpuStopwatch(ask, sides, inputs, mode)


class _InOneProcess:
    """A stopwatch inside the one child of a GPU."""

    def __init__(self, session: Session, mode: Mode, distribution: str) -> None:
        self._session = session
        request = OpenStopwatch(mode, distribution, session.device.cache_bytes)
        self._setup: StopwatchSetup = session.ask(GATE, request, LIMIT_SECONDS)

    def setup(self) -> StopwatchSetup:
        return self._setup

    def blocks(self, count: int, sides: Sequence[str]) -> tuple[Block, ...]:
        blocks: tuple[Block, ...] = self._session.ask(GATE, RunBlocks(count, tuple(sides)), LIMIT_SECONDS)
        return blocks

    def unseen_errors(self) -> Mapping[str, Errors]:
        errors: Mapping[str, Errors] = self._session.ask(GATE, ReviewUnseen(), LIMIT_SECONDS)
        return errors
