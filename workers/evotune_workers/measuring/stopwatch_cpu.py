"""Timing on a CPU: consecutive calls by the wall clock, of sides that take turns in processes of their own."""

from __future__ import annotations

import contextlib
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from evotune_workers.child.messages import (
    ChangeInputs,
    OpenBaselines,
    OpenCandidate,
    Request,
    RestoreInputs,
    ReviewUnseen,
    TakeTurn,
)
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.turns.turns import Calls, OpenedSide, TimedInputs, Turn
from evotune_workers.runtimes.unseen import Roll
from evotune_workers.timing.stopwatch import SAMPLE_US, Conditions, Mode, Stopwatch, StopwatchSetup

# Asks the process of that candidate, or of the baselines (None).
Ask = Callable[[str | None, Request], Any]

# Largest number of calls of a sample with changed inputs: all of them, unless a call takes less than 16 us. To change
# more inputs would take longer than the calls.
MOST_CHANGED = 64
# One untimed call for every so many timed ones runs before the clock starts. The first calls after other work take
# up to 100 us longer.
LEAD_PART = 10
# A sample has up to this part more calls than it needs, at random: no build can know which call is the last.
RANDOM_PART = 8
# A sample of a slow side has a call or two. In the first block, and in a fourth of the others at random, it has four at
# least: the outputs of calls that follow each other at once must be right, too.
CONSECUTIVE_CALLS, CONSECUTIVE_PART = 4, 4


class CpuStopwatch(Stopwatch):
    """Times the kernel alone for a candidate, and a call as users make it for a baseline (runtimes/turns/sides.py).

    Each candidate has a process of its own, and the baselines have one that loads no candidate. A sample begins when
    the process of the one before has ended its threads. Outputs are checked after every sample, as `CandidateTurns`
    says.
    """

    def __init__(self, ask: Ask, candidates: Sequence[str], inputs: TimedInputs, mode: Mode) -> None:
        """Prepare and warm up all sides."""
        self._ask, self._mode, self._candidates = ask, mode, tuple(candidates)
        self._baselines: dict[str, OpenedSide]
        self._sets: int
        self._limited: str | None
        self._baselines, self._sets, self._limited = ask(None, OpenBaselines(inputs))
        self._opened: dict[str, OpenedSide] = {}
        for side in candidates:
            self._opened |= ask(side, OpenCandidate(side, inputs))
        self._most = sys.maxsize if self._limited is None else _most_timed(self._sets)
        self._calls = {side: self._calls_of(each) for side, each in (*self._baselines.items(), *self._opened.items())}
        self._next, self._timed, self._is_first = 0, dict(self._calls), True
        self._changed: frozenset[int] = frozenset()
        self._roll: Roll | None = None
        self._lost = self._seconds = 0.0
        # The system's randomness, which no build can predict.
        self._random = random.SystemRandom()

    def setup(self) -> StopwatchSetup:
        """Return how it measures."""
        return StopwatchSetup(
            (*self._candidates, *self._baselines),
            self._mode,
            self._sets,
            max(self._calls.values()),
            {side: opened.errors for side, opened in self._opened.items()},
            {side: opened.fastest_us for side, opened in self._baselines.items()},
            buffers_limited=self._limited,
        )

    def sample(self, side: str) -> tuple[float, bool]:
        """Return the wall time per call, and False if an output is known to be wrong."""
        timed = self._timed[side]
        calls = Calls(self._next, _lead(timed), timed, self._changed, self._roll)
        turn: Turn = self._ask(None if side in self._baselines else side, TakeTurn(side, calls))
        self._next += _lead(timed) + timed
        self._lost, self._seconds = self._lost + turn.lost_seconds, self._seconds + turn.seconds
        return turn.us, turn.right

    @contextlib.contextmanager
    def unseen_inputs(self, sides: Sequence[str]) -> Iterator[None]:
        """Change the sets that the last calls of each of the next samples take."""
        changed, end = set[int](), self._next
        for timed in (self._timed[side] for side in sides):
            end += _lead(timed) + timed
            changed |= {(end - back) % self._sets for back in range(1, min(MOST_CHANGED, timed) + 1)}
        self._changed = frozenset(changed)
        self._roll = self._ask(None, ChangeInputs(self._changed))
        try:
            yield
        finally:
            self._ask(None, RestoreInputs())
            self._changed, self._roll = frozenset(), None

    def unseen_errors(self) -> Mapping[str, Errors]:
        """Return the candidates' errors on unseen inputs, beside the baseline's on the same inputs."""
        found: dict[str, Errors] = {}
        for side in self._candidates:
            found |= self._ask(side, ReviewUnseen())
        return found

    def begin_block(self) -> None:
        """Draw the number of calls of the block's samples."""
        self._lost = self._seconds = 0.0
        self._timed = {side: self._drawn(calls) for side, calls in self._calls.items()}
        self._is_first = False

    def end_block(self, begun: None) -> Conditions:
        """Return the share of the samples for which threads waited."""
        return Conditions(disturbed=self._lost / self._seconds)

    def _drawn(self, calls: int) -> int:
        if self._is_first or self._random.randrange(CONSECUTIVE_PART) == 0:
            calls = max(calls, CONSECUTIVE_CALLS)
        return min(self._most, calls + self._random.randrange(calls // RANDOM_PART + 1))

    def _calls_of(self, side: OpenedSide) -> int:
        return min(self._most, max(1, math.ceil(SAMPLE_US / side.fastest_us)))


def _lead(timed: int) -> int:
    return timed // LEAD_PART


def _most_timed(sets: int) -> int:
    """Return the largest number of calls that, with the lead before them, use no set twice."""
    return max(1, sets * LEAD_PART // (LEAD_PART + 1))
