"""A cluster whose jobs end at a known virtual time, in the place of evotune_workers.cluster and of Ray."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.virtual.clock import Clock
from benchmarks.virtual.results import Durations, candidate, measurement
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import MeasureJob


@dataclass(eq=False)
class Future:
    """A job that ends at `due`; `make` gives its result then."""

    due: float
    make: Callable[[], Any]


@dataclass
class Actor:
    """A measuring worker: one job after the other, each from when to when."""

    free_at: float = 0.0
    jobs: list[tuple[float, float]] = field(default_factory=list)

    def take(self, now: float, seconds: float) -> float:
        """When a job given now ends."""
        start = max(now, self.free_at)
        self.free_at = start + seconds
        self.jobs.append((start, self.free_at))
        return self.free_at

    def busy(self, since: float, until: float) -> float:
        """Seconds between two moments in which it had a job."""
        return sum(max(0.0, min(end, until) - max(start, since)) for start, end in self.jobs)


class VirtualCluster:
    """As a search uses a Cluster: futures in, and by `wait` and `get`, which are Ray's, results out."""

    def __init__(self, clock: Clock, workers: int, cores: int, device: Device, durations: Durations) -> None:
        """So many workers, each a device like this one, and cores that build."""
        self._clock, self._durations = clock, durations
        self.actors = [Actor() for _ in range(workers)]
        self.workers = [Worker(f"gpu {n}", device, actor) for n, actor in enumerate(self.actors)]
        self._core_free_at = [0.0] * cores
        self._due: list[tuple[float, int, Future]] = []
        self._given = 0

    def build(self, job: BuildJob) -> Future:
        """Ends after the recorded time on the core that is free first."""
        with self._clock.apart():
            start = max(self._clock.now, heapq.heappop(self._core_free_at))
            due = start + self._durations.of(job.number).build_seconds
            heapq.heappush(self._core_free_at, due)
            return self._future(due, lambda: candidate(job, self._durations.of(job.number)))

    def submit(self, worker: Worker, job: MeasureJob) -> Future:
        """Ends after the recorded time, when the worker has done what it was given before."""
        with self._clock.apart():
            one = self._durations.of(job.candidate.number)
            due = worker.actor.take(self._clock.now, one.measure_seconds)
            return self._future(due, lambda: measurement(job.candidate, one))

    @property
    def futures(self) -> tuple[Future, ...]:
        """No other worker comes: as of a WorkerPool, which this is, too."""
        return ()

    @property
    def surplus(self) -> tuple[Worker, ...]:
        """Nobody else wants one."""
        return ()

    def departed(self) -> list[Worker]:
        """Nobody is lost."""
        return []

    def look(self) -> None:
        """Nothing changes."""

    def in_touch(self) -> bool:
        """There is no head to lose."""
        return True

    def require_alive(self) -> None:
        """It always is."""

    def wait(self, futures: Sequence[Future], *, num_returns: int, timeout: float) -> tuple[list[Future], list[Future]]:
        """As Ray's, of futures that are all of this cluster's: so many of those that are due in time."""
        with self._clock.apart():
            done: list[Future] = []
            until = self._clock.now + timeout
            while self._due and len(done) < num_returns and self._due[0][0] <= until:
                due, _, future = heapq.heappop(self._due)
                self._clock.jump(max(0.0, due - self._clock.now))
                done.append(future)
            if len(done) < num_returns:
                self._clock.jump(max(0.0, until - self._clock.now))
            return done, [future for _, _, future in self._due]

    def get(self, future: Future) -> Any:
        """As Ray's."""
        with self._clock.apart():
            return future.make()

    def _future(self, due: float, make: Callable[[], Any]) -> Future:
        future = Future(due, make)
        self._given += 1
        heapq.heappush(self._due, (due, self._given, future))
        return future


def utilisation(actors: Sequence[Actor]) -> Mapping[str, float]:
    """Share of their time that workers were busy while there was work for all: until the last trial was begun.

    `from_first` counts from the first measurement on, `steady` from when every worker has had one.
    """
    starts = [start for actor in actors for start, _ in actor.jobs]
    last = max(starts)
    full = max(actor.jobs[0][0] if actor.jobs else last for actor in actors)
    return {"from_first": _share(actors, min(starts), last), "steady": _share(actors, full, last)}


def _share(actors: Sequence[Actor], since: float, until: float) -> float:
    """NaN where no time is between the two."""
    seconds = len(actors) * (until - since)
    return sum(actor.busy(since, until) for actor in actors) / seconds if seconds > 0 else math.nan
