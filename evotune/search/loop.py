"""The search loop: ask, build, measure, record, tell.

Proposals do not depend on who finishes first. Trials are told in the order of their numbers, and a batch is asked for
when exactly all trials but the last `window - batch` have been told. So the same seed and the same measured values give
the same proposals, however the work is spread.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from evotune.search.interrupt import Interrupt
from evotune.search.recorder import Recorder
from evotune.search.study import Proposal
from evotune.search.workers.health_checks import Distrust
from evotune_db.records import SearchState, StoredTrial

WAIT_SECONDS = 0.2


class Evaluator(Protocol):
    """Takes trials to their outcomes, and records these."""

    @property
    def unfinished(self) -> bool:
        """True while something is yet to come that is no trial's outcome."""

    def start(self, proposals: Sequence[Proposal]) -> None:
        """Take on trials."""

    def step(self, seconds: float) -> Sequence[Distrust]:
        """Do what can be done now, waiting at most so long where nothing can.

        Returns the workers that are distrusted from now on, whose trials have to be measured again.
        """


@dataclass(frozen=True)
class LoopEnd:
    """State of a search when its loop ends. With `distrusted` workers it has to go on without their trials."""

    state: SearchState
    distrusted: tuple[Distrust, ...] = ()


class SearchLoop:
    """One run of a search, until the budget is spent or something stops it."""

    def __init__(
        self,
        evaluator: Evaluator,
        recorder: Recorder,
        interrupt: Interrupt,
        *,
        budget: int,
        batch: int,
        ahead: int = 2,
    ) -> None:
        """Propose `batch` trials together; `ahead` times as many more may be under way."""
        self._evaluator, self._recorder, self._interrupt = evaluator, recorder, interrupt
        self._budget, self._batch, self._window = budget, batch, (1 + ahead) * batch
        self._next = 0

    def run(self, earlier: Sequence[StoredTrial]) -> LoopEnd:
        """Continue from earlier trials; the state is "finished" when every trial of the budget has its outcome."""
        with _settled_memory():
            return self._run(earlier)

    def _run(self, earlier: Sequence[StoredTrial]) -> LoopEnd:
        self._evaluator.start(self._recorder.restore(earlier))
        self._next = len(earlier)
        while self._recorder.told < self._budget or self._evaluator.unfinished:
            if self._stopping:
                break
            # A batch can take the sampler a second or two: between parts of it nobody waits for a job.
            proposed = self._propose()
            distrusted = self._evaluator.step(0 if proposed else WAIT_SECONDS)
            if distrusted:
                return LoopEnd("interrupted", tuple(distrusted))
        return LoopEnd("interrupted" if self._recorder.told < self._budget else "finished")

    @property
    def _stopping(self) -> bool:
        return self._interrupt.pressed or self._interrupt.out_of_time

    def _propose(self) -> bool:
        """Propose the next trials if their batch may be asked for; return True if there were any."""
        last = self._next == self._budget
        batch = self._next // self._batch
        told = self._budget if last else max(0, (batch + 1) * self._batch - self._window)
        self._recorder.settle(told)
        if last or self._recorder.told < told:
            return False
        proposals = self._recorder.propose(min(self._budget, (batch + 1) * self._batch) - self._next)
        self._evaluator.start(proposals)
        self._next += len(proposals)
        return True


@contextlib.contextmanager
def _settled_memory() -> Iterator[None]:
    """Exempt all objects that exist now from garbage collection, which a search causes often.

    Full collections that looked at them again took a tenth of the loop's time.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
