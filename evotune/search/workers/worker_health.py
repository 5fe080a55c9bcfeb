"""Health of the workers: each measures one configuration again and again, so that a faulty worker is noticed.

This reference is the first configuration that passed. Its times are compared with those of other workers of the same
device model. A worker without such peers has its speed-up compared with its first one instead: a machine that slows
down as a whole slows the baseline alike, and nothing shows that it should be faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evotune.search.workers.health_checks import HealthFigures, Verdict, drifted, health_figures, slower
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.measuring.jobs import Measurement

# The whole interval of a figure must lie beyond this multiple of what it should be. A CPU shares caches, memory and
# clocks with other work on its machine, which moves a speed-up by more than a tenth.
MARGINS = {"cuda": 1.10, "cpu": 1.25}
# A check is due when a worker has worked this many times as long as its last check took: 2.5 % of its time.
INTERVAL = 40
# A check is due after this many failures in a row; after twice as many once that was a false alarm.
FAILURES = 5
# A distrusted worker whose checks have no result this often in a row stays distrusted.
BUSY_MOST = 3


@dataclass
class WorkerState:
    """Findings about one worker.

    `unverified` are the trials that it measured since its last good check, `covered` those before the check that is
    under way, and `verified` those that its last good check stands for.
    """

    worker: Worker
    first: HealthFigures | None = None
    latest: HealthFigures | None = None
    check_seconds: float = 0.0
    worked_seconds: float = 0.0
    failures: int = 0
    patience: int = FAILURES
    checking: bool = False
    distrusted: bool = False
    busy: int = 0
    unverified: set[int] = field(default_factory=set)
    covered: frozenset[int] = frozenset()
    verified: frozenset[int] = frozenset()


class WorkerHealth:
    """Decides which workers are due for a check, and judges them by its figures."""

    def __init__(self) -> None:
        """Begin without workers and without a reference."""
        self.reference: Candidate | None = None
        self._states: dict[str, WorkerState] = {}
        self._present: set[str] = set()

    @property
    def unsettled(self) -> bool:
        """True while a distrusted worker has yet to pass a check, before which the search cannot end."""
        return any(state.distrusted for state in self._states.values())

    def join(self, worker: Worker) -> None:
        """Add a worker; one whose name was there before is trusted as far as it was then."""
        state = self._states.setdefault(worker.name, WorkerState(worker))
        state.worker, state.checking = worker, False
        self._present.add(worker.name)

    def leave(self, worker: Worker) -> Verdict | None:
        """Remove a worker that was lost or given up. A distrusted one is quarantined: it cannot pass a check now."""
        self._present.discard(worker.name)
        state = self._states.get(worker.name)
        if state is None or not state.distrusted:
            return None
        return Verdict(state.worker, "quarantined", "it left before it passed a check", _sorted(state.unverified))

    def trusted(self, worker: Worker) -> bool:
        """Return True if the worker may measure trials."""
        return not self._states[worker.name].distrusted

    def due(self, worker: Worker) -> bool:
        """Return True if the worker's next job is a check."""
        state = self._states[worker.name]
        if self.reference is None or state.checking:
            return False
        worked = state.worked_seconds >= INTERVAL * state.check_seconds
        return state.distrusted or state.latest is None or worked or state.failures >= state.patience

    def start_check(self, worker: Worker) -> None:
        """Note that a check is the worker's next job. It covers all trials that the worker measured until now."""
        state = self._states[worker.name]
        state.checking, state.covered = True, frozenset(state.unverified)

    def measured(self, worker: Worker, candidate: Candidate, measurement: Measurement) -> None:
        """Note a trial that the worker measured. The first that passed, timed to the end, becomes the reference."""
        state = self._states[worker.name]
        state.unverified.add(candidate.number)
        state.worked_seconds += measurement.seconds
        state.failures = 0 if measurement.failed_gate is None or measurement.busy else state.failures + 1
        timed = [timing for timing in measurement.timings if timing.mode == "cold"]
        if self.reference is None and timed and not any(timing.censored for timing in timed):
            self.reference = candidate
            state.first = state.latest = health_figures(measurement)
            state.check_seconds, state.worked_seconds = measurement.seconds, 0.0
            state.verified, state.unverified = frozenset(state.unverified), set()

    def judge(self, worker: Worker, measurement: Measurement) -> list[Verdict]:
        """Judge a worker by its check, and other workers whose latest check is odd beside it."""
        state = self._states[worker.name]
        state.checking, state.worked_seconds, state.check_seconds = False, 0.0, measurement.seconds
        if measurement.busy and not self._too_busy(state):
            return []
        state.busy = 0
        reason = self._why_odd(state, measurement)
        if reason is not None:
            return [self._odd(state, reason)]
        latest = health_figures(measurement)
        return [self._good(state, latest), *self._odd_peers(state, latest)]

    def begin_round(self, verdict: Verdict) -> None:
        """Forget a quarantined worker, and all checks that were under way."""
        if verdict.kind == "quarantined":
            self._states.pop(verdict.worker.name, None)
            self._present.discard(verdict.worker.name)
        for state in self._states.values():
            state.checking = False

    def _too_busy(self, state: WorkerState) -> bool:
        state.busy += 1
        return state.distrusted and state.busy >= BUSY_MOST

    def _why_odd(self, state: WorkerState, measurement: Measurement) -> str | None:
        if measurement.failed_gate is not None:
            return f"a configuration that passed before fails at {measurement.failed_gate}: {measurement.reason}"
        now = health_figures(measurement)
        others = [other.latest for other in self._peers(state) if other.latest is not None]
        if others:
            return slower(now, others, _margin(state))
        return drifted(now, state.first, _margin(state)) if state.first is not None else None

    def _odd_peers(self, state: WorkerState, latest: HealthFigures) -> list[Verdict]:
        """Distrust each peer whose latest check is slower than this one, with the trials that it stood for."""
        verdicts = []
        for peer in self._peers(state):
            reason = slower(peer.latest, [latest], _margin(peer)) if peer.latest and latest else None
            if reason is not None:
                peer.unverified |= peer.verified
                verdicts.append(self._odd(peer, reason))
        return verdicts

    def _peers(self, state: WorkerState) -> list[WorkerState]:
        """Return the other workers of the same device model, whose times should be the same."""
        model = state.worker.device.name
        return [other for other in self._states.values() if other is not state and other.worker.device.name == model]

    def _good(self, state: WorkerState, now: HealthFigures) -> Verdict:
        unreliable = _sorted(state.unverified) if state.distrusted else ()
        if state.failures >= state.patience:
            state.patience *= 2
        state.verified = frozenset(state.unverified) if state.distrusted else state.covered
        state.unverified -= state.verified
        state.first, state.latest = state.first or now, now
        state.distrusted, state.failures = False, 0
        return Verdict(state.worker, "good", None, unreliable)

    def _odd(self, state: WorkerState, reason: str) -> Verdict:
        state.latest = None
        if state.distrusted or state.worker.name not in self._present:
            return Verdict(state.worker, "quarantined", reason, _sorted(state.unverified))
        state.distrusted = True
        return Verdict(state.worker, "odd", reason)


def _sorted(numbers: set[int]) -> tuple[int, ...]:
    return tuple(sorted(numbers))


def _margin(state: WorkerState) -> float:
    return MARGINS[state.worker.device.kind]
