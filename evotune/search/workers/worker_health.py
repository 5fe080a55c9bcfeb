"""The canary of a search: one configuration that each worker measures again and again, so that an odd worker is seen.

It is the first configuration that passed. Its times are compared with those that other workers of the same device model
had for it, or, by a worker that is alone, its speed-up with what that was at first: a machine that slows down as a
whole slows the baseline alike, and nobody can say that it should be faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evotune.search.workers.health_checks import Reading, Verdict, drifted, reading, slower
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.measuring.jobs import Measurement

# Of a figure against what it should be, the whole of its interval. A CPU shares caches, memory and clocks with whatever
# else its machine does, which moves a speed-up by more than a tenth.
MARGINS = {"cuda": 1.10, "cpu": 1.25}
# A worker's canary is due when it has worked so many times as long as the last one took: 2.5 % of its time.
INTERVAL = 40
# And after so many failures one after the other; after twice as many when that was a false alarm.
FAILURES = 5
# Where a canary has no result that often in a row in a fresh process, that is odd too.
BUSY_MOST = 3


@dataclass
class Health:
    """What is known of one worker. `unverified` are the trials that it measured since its last good canary, `covered`
    those before that which is under way, and `verified` those that its last good one stands for.
    """

    worker: Worker
    first: Reading | None = None
    latest: Reading | None = None
    took: float = 0.0
    worked: float = 0.0
    failures: int = 0
    patience: int = FAILURES
    asked: bool = False
    doubted: bool = False
    busy: int = 0
    unverified: set[int] = field(default_factory=set)
    covered: frozenset[int] = frozenset()
    verified: frozenset[int] = frozenset()


class WorkerHealth:
    """Who has to measure the canary now, and what follows from what it measured."""

    def __init__(self) -> None:
        """There is no worker, and no canary yet."""
        self.candidate: Candidate | None = None
        self._health: dict[str, Health] = {}
        self._here: set[str] = set()

    @property
    def doubting(self) -> bool:
        """Whether a worker has to show itself good before the search can end."""
        return any(health.doubted for health in self._health.values())

    def join(self, worker: Worker) -> None:
        """It is there, and trusted as far as one of its name was before."""
        health = self._health.setdefault(worker.name, Health(worker))
        health.worker, health.asked = worker, False
        self._here.add(worker.name)

    def gone(self, worker: Worker) -> Verdict | None:
        """It was lost, or given up: one that was doubted cannot show itself good any more."""
        self._here.discard(worker.name)
        health = self._health.get(worker.name)
        if health is None or not health.doubted:
            return None
        return Verdict(health.worker, "quarantined", "it went while it was doubted", _sorted(health.unverified))

    def trusted(self, worker: Worker) -> bool:
        """Whether it may measure trials."""
        return not self._health[worker.name].doubted

    def due(self, worker: Worker) -> bool:
        """Whether its next job is the canary."""
        health = self._health[worker.name]
        if self.candidate is None or health.asked:
            return False
        worked, failed = health.worked >= INTERVAL * health.took, health.failures >= health.patience
        return health.doubted or health.latest is None or worked or failed

    def give(self, worker: Worker) -> None:
        """The canary is its next job: trials that it was given earlier are covered by it."""
        health = self._health[worker.name]
        health.asked, health.covered = True, frozenset(health.unverified)

    def measured(self, worker: Worker, candidate: Candidate, measurement: Measurement) -> None:
        """A trial came back from it. The first that passed, timed to the end, is the canary and its first reading."""
        health = self._health[worker.name]
        health.unverified.add(candidate.number)
        health.worked += measurement.seconds
        health.failures = 0 if measurement.failed_gate is None or measurement.busy else health.failures + 1
        timed = [timing for timing in measurement.timings if timing.mode == "cold"]
        if self.candidate is None and timed and not any(timing.censored for timing in timed):
            self.candidate = candidate
            health.first = health.latest = reading(measurement)
            health.took, health.worked = measurement.seconds, 0.0
            health.verified, health.unverified = frozenset(health.unverified), set()

    def read(self, worker: Worker, measurement: Measurement) -> list[Verdict]:
        """Its canary came back: what is to be thought of it, and of others whose last one is odd beside it."""
        health = self._health[worker.name]
        health.asked, health.worked, health.took = False, 0.0, measurement.seconds
        if measurement.busy and not self._too_busy(health):
            return []
        health.busy = 0
        reason = self._why_odd(health, measurement)
        if reason is not None:
            return [self._odd(health, reason)]
        verdicts = [self._good(health, reading(measurement))]
        for other in self._peers(health):
            refuted = slower(other.latest, [health.latest], _margin(other)) if other.latest and health.latest else None
            if refuted is not None:
                other.unverified |= other.verified
                verdicts.append(self._odd(other, refuted))
        return verdicts

    def begin_again(self, verdict: Verdict) -> None:
        """Goes on without the worker if it is quarantined; whatever was given out is forgotten."""
        if verdict.kind == "quarantined":
            self._health.pop(verdict.worker.name, None)
            self._here.discard(verdict.worker.name)
        for health in self._health.values():
            health.asked = False

    def _too_busy(self, health: Health) -> bool:
        health.busy += 1
        return health.doubted and health.busy >= BUSY_MOST

    def _why_odd(self, health: Health, measurement: Measurement) -> str | None:
        if measurement.failed_gate is not None:
            return f"a configuration that passed before fails at {measurement.failed_gate}: {measurement.reason}"
        now = reading(measurement)
        others = [other.latest for other in self._peers(health) if other.latest is not None]
        if others:
            return slower(now, others, _margin(health))
        return drifted(now, health.first, _margin(health)) if health.first is not None else None

    def _peers(self, health: Health) -> list[Health]:
        """Other workers whose times should be the same."""
        model = health.worker.device.name
        return [other for other in self._health.values() if other is not health and other.worker.device.name == model]

    def _good(self, health: Health, now: Reading) -> Verdict:
        suspects = _sorted(health.unverified) if health.doubted else ()
        if health.failures >= health.patience:
            health.patience *= 2
        health.verified = frozenset(health.unverified) if health.doubted else health.covered
        health.unverified -= health.verified
        health.first, health.latest = health.first or now, now
        health.doubted, health.failures = False, 0
        return Verdict(health.worker, "good", None, suspects)

    def _odd(self, health: Health, reason: str) -> Verdict:
        health.latest = None
        if health.doubted or health.worker.name not in self._here:
            return Verdict(health.worker, "quarantined", reason, _sorted(health.unverified))
        health.doubted = True
        return Verdict(health.worker, "odd", reason)


def _sorted(numbers: set[int]) -> tuple[int, ...]:
    return tuple(sorted(numbers))


def _margin(health: Health) -> float:
    return MARGINS[health.worker.device.kind]
