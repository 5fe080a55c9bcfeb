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

from evotune.planning.plan import Plan
from evotune.search.dispatcher import Dispatcher
from evotune.search.events import Built, Event, Gone, HealthChecked, Measured, Told
from evotune.search.interrupt import Interrupt
from evotune.search.recorder import Recorder
from evotune.search.reporter import Reporter
from evotune.search.study import Proposal
from evotune.search.workers.diagnosis_queue import Diagnosed, NotDiagnosed
from evotune.search.workers.health_checks import Verdict
from evotune_db.records import SearchState, StoredTrial
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.measuring.jobs import Measurement

WAIT_SECONDS = 0.2


class Work(Protocol):
    """Where trials come to their outcomes, which it books in the recorder."""

    @property
    def unfinished(self) -> bool:
        """Whether something is to come that is no trial's outcome."""

    def start(self, proposals: Sequence[Proposal]) -> None:
        """Takes on trials."""

    def go_on(self, seconds: float) -> None:
        """Does what can be done now, waiting at most so long where nothing can."""


class SearchLoop:
    """One run of a search, until the budget is spent or something stops it."""

    def __init__(
        self, work: Work, recorder: Recorder, interrupt: Interrupt, *, budget: int, batch: int, ahead: int = 2
    ) -> None:
        """`batch` trials are proposed together; `ahead` times as many more may be under way."""
        self._work, self._recorder, self._interrupt = work, recorder, interrupt
        self._budget, self._batch, self._window = budget, batch, (1 + ahead) * batch
        self._next = 0

    def run(self, earlier: Sequence[StoredTrial]) -> SearchState:
        """Goes on from earlier trials; "finished" when every trial of the budget has its outcome."""
        with _settled_memory():
            return self._run(earlier)

    def _run(self, earlier: Sequence[StoredTrial]) -> SearchState:
        self._work.start(self._recorder.restore(earlier))
        self._next = len(earlier)
        while self._recorder.told < self._budget:
            if self._stopping:
                return "interrupted"
            # A batch can take the sampler a second or two: between parts of it nobody waits for a job.
            proposed = self._propose()
            self._work.go_on(0 if proposed else WAIT_SECONDS)
        while self._work.unfinished and not self._stopping:
            self._work.go_on(WAIT_SECONDS)
        return "finished"

    @property
    def _stopping(self) -> bool:
        return self._interrupt.pressed or self._interrupt.out_of_time

    def _propose(self) -> bool:
        """The next trials, when their batch may be asked for; whether there were any."""
        last = self._next == self._budget
        batch = self._next // self._batch
        told = self._budget if last else max(0, (batch + 1) * self._batch - self._window)
        self._recorder.settle(told)
        if last or self._recorder.told < told:
            return False
        proposals = self._recorder.propose(min(self._budget, (batch + 1) * self._batch) - self._next)
        self._work.start(proposals)
        self._next += len(proposals)
        return True


@contextlib.contextmanager
def _settled_memory() -> Iterator[None]:
    """What is there already stays: full collections of garbage, which a search causes often, need not look at it again.

    They were a tenth of the loop's time.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass(frozen=True)
class Doubt:
    """What a worker measured is not to be believed: `canary` is the row that says so."""

    verdict: Verdict
    canary: int


class Doubted(Exception):
    """The search has to go on without what is doubted."""

    def __init__(self, doubts: Sequence[Doubt]) -> None:
        """All that one reading of a canary led to."""
        super().__init__("; ".join(doubt.verdict.reason or doubt.verdict.kind for doubt in doubts))
        self.doubts = tuple(doubts)


class ClusterWork:
    """Builds and measurements in a cluster."""

    def __init__(self, plan: Plan, dispatcher: Dispatcher, recorder: Recorder, reporter: Reporter) -> None:
        """What comes back through the dispatcher is booked and shown."""
        self._plan, self._dispatcher, self._canaries = plan, dispatcher, dispatcher.canaries
        self._recorder, self._reporter = recorder, reporter

    @property
    def unfinished(self) -> bool:
        """Whether a diagnosis, or word of a doubted worker, is yet to come."""
        return self._dispatcher.diagnosing or self._canaries.doubting

    def start(self, proposals: Sequence[Proposal]) -> None:
        """Gives out the builds of those that no other search has measured."""
        plan = self._plan
        for each in self._recorder.take_over(proposals):
            self._dispatcher.build(
                BuildJob(each.number, each.configuration, plan.variant.name, plan.target, plan.workloads)
            )

    def go_on(self, seconds: float) -> None:
        """Takes what comes back, gives out what can be measured then, and books both when workers have their jobs.

        Doubted when what came back is not believed.
        """
        try:
            for event in self._dispatcher.wait(seconds):
                self._handle(event)
            self._give_out()
        finally:
            self._recorder.flush()

    def _give_out(self) -> None:
        for worker in self._dispatcher.dispatch_canaries():
            self._reporter.worker(worker.name, "measuring the canary")
        # Between its proposal and its turn another search may have measured it.
        while taken := self._recorder.measured_elsewhere(self._dispatcher.upcoming):
            self._dispatcher.withdraw(taken)
        given = self._dispatcher.dispatch(self._recorder.best.incumbents)
        self._recorder.measuring([candidate for _, candidate in given])
        for worker, candidate in given:
            self._reporter.worker(worker.name, f"measuring trial {self._recorder.trial(candidate.number)}")
        for worker, candidate in self._dispatcher.dispatch_diagnoses():
            self._reporter.worker(worker.name, f"diagnosing trial {self._recorder.trial(candidate.number)}")

    def _handle(self, event: Event) -> None:
        match event:
            case Built(candidate):
                if not self._recorder.built(candidate):
                    return
                if self._plan.build_only:
                    self._recorder.left_at_that(candidate)
                else:
                    self._dispatcher.enqueue(candidate)
            case Measured(worker, candidate, measurement):
                self._reporter.worker(worker.name, f"{self._dispatcher.builds_running} builds running")
                self._recorder.measured(candidate, measurement, worker.device)
                self._canaries.measured(worker, candidate, measurement)
                self._dispatcher.diagnose(worker, candidate, measurement)
            case HealthChecked(worker, measurement):
                self._judge(worker, measurement)
            case Diagnosed(worker, candidate, diagnosis):
                self._reporter.worker(worker.name, f"{self._dispatcher.builds_running} builds running")
                self._recorder.diagnosed(candidate, diagnosis)
            case NotDiagnosed(_, candidate, reason):
                self._recorder.not_diagnosed(candidate, reason)
            case Told(text):
                self._reporter.note(text)
            case Gone(worker, text):
                self._reporter.worker(worker.name, "gone")
                self._reporter.note(text)
                self._miss(worker)

    def _miss(self, worker: Worker) -> None:
        verdict = self._canaries.gone(worker)
        if verdict is not None:
            assert self._canaries.candidate is not None, "nobody is doubted before there is a canary"
            raise Doubted([Doubt(verdict, self._recorder.canary(self._canaries.candidate.number, verdict, None))])

    def _judge(self, worker: Worker, measurement: Measurement) -> None:
        """Follows what a canary says of its worker, and of others."""
        doubts = []
        for verdict in self._canaries.read(worker, measurement):
            own = measurement if verdict.worker.name == worker.name else None
            row = self._recorder.canary(measurement.number, verdict, own)
            if verdict.kind == "odd":
                self._reporter.note(f"{verdict.worker.name}: {verdict.reason}; looked at again in a fresh process")
                self._dispatcher.restart(verdict.worker)
            elif verdict.kind == "quarantined":
                self._reporter.note(f"{verdict.worker.name} gets no more work: {verdict.reason}")
            if verdict.kind == "quarantined" or verdict.numbers:
                doubts.append(Doubt(verdict, row))
        if doubts:
            raise Doubted(doubts)
