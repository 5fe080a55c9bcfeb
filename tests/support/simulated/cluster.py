"""A cluster whose jobs take only simulated time, in the place of evotune_workers.cluster.cluster and of Ray."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.build import Build, Resources
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.gates.gate import GateResult
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import MeasureJob, Measurement, WarmUpJob
from evotune_workers.timing.summary import Timing

BUILD_SECONDS, MEASURE_SECONDS = 0.5, 0.25
# A trial with a number that FAILING divides fails at GATE, after which a search builds nothing to find the reason.
FAILING, GATE = 10, "repeatability"
BASELINE, BASELINE_US = "sdpa_cudnn", 9.6


@dataclass(eq=False)
class Future:
    """A job that ends at `due`; `make` gives its result."""

    due: float
    make: Callable[[], Any]


@dataclass
class Actor:
    """A measuring worker: the start and the end of each of its jobs, one after the other."""

    jobs: list[tuple[float, float]] = field(default_factory=list)

    def take(self, now: float, seconds: float) -> float:
        """Queue a job and return its end."""
        start = max(now, self.jobs[-1][1] if self.jobs else 0.0)
        self.jobs.append((start, start + seconds))
        return start + seconds


class SimulatedCluster:
    """Take a search's jobs and, in place of Ray's `wait` and `get`, return results. Stands for its WorkerPool, too."""

    def __init__(self, workers: int, cores: int, device: Device) -> None:
        """Begin at time 0 with idle workers of one device model, and with cores that build."""
        self.now = 0.0
        self.actors = [Actor() for _ in range(workers)]
        self.workers = [Worker(f"gpu {n}", device, actor) for n, actor in enumerate(self.actors)]
        self._core_free_at = [0.0] * cores
        self._due: list[tuple[float, int, Future]] = []
        self._queued = 0

    @property
    def cores(self) -> int:
        """Count the cores."""
        return len(self._core_free_at)

    @property
    def wanted(self) -> int:
        """Count the workers."""
        return len(self.workers)

    @property
    def nobody_left(self) -> bool:
        """Tell if the last worker is gone."""
        return not self.workers

    def build(self, job: BuildJob) -> Future:
        """Queue a build on the core that is free first."""
        due = max(self.now, heapq.heappop(self._core_free_at)) + BUILD_SECONDS
        heapq.heappush(self._core_free_at, due)
        return self._future(due, lambda: candidate(job))

    def submit(self, worker: Worker, job: MeasureJob | WarmUpJob) -> Future:
        """Queue a measurement behind the worker's earlier jobs. A warm-up takes no time, and nobody waits for it."""
        if isinstance(job, WarmUpJob):
            return Future(self.now, lambda: None)
        return self._future(worker.actor.take(self.now, MEASURE_SECONDS), lambda: measurement(job.candidate))

    @property
    def futures(self) -> tuple[Any, ...]:
        """Expect no more workers."""
        return ()

    @property
    def surplus(self) -> tuple[Worker, ...]:
        """Give up no worker to other searches."""
        return ()

    def departed(self) -> list[Worker]:
        """Report no lost worker."""
        return []

    def look(self) -> None:
        """Notice no change."""

    def in_touch(self) -> bool:
        """Confirm that the head answers."""
        return True

    def require_alive(self) -> None:
        """Accept: this cluster never dies."""

    def wait(self, futures: Sequence[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        """Advance the time to the jobs that end within `timeout`, `num_returns` at most, as ray.wait does."""
        done: list[Future] = []
        until = self.now + timeout
        while self._due and len(done) < num_returns and self._due[0][0] <= until:
            due, _, future = heapq.heappop(self._due)
            self.now = max(self.now, due)
            done.append(future)
        if len(done) < num_returns:
            self.now = until
        return done, [future for _, _, future in self._due]

    def get(self, future: Future) -> Any:
        """Return the result, as ray.get does."""
        return future.make()

    def _future(self, due: float, make: Callable[[], Any]) -> Future:
        future = Future(due, make)
        self._queued += 1
        heapq.heappush(self._due, (due, self._queued, future))
        return future


def busy_share(actors: Sequence[Actor]) -> float:
    """Return the workers' busy time over their time, from when all have had a job until the last job begins."""
    since = max(actor.jobs[0][0] for actor in actors)
    until = max(start for actor in actors for start, _ in actor.jobs)
    busy = sum(max(0.0, min(end, until) - max(start, since)) for actor in actors for start, end in actor.jobs)
    return busy / (len(actors) * (until - since))


def candidate(job: BuildJob) -> Candidate:
    """Return a successful build with a binary of its own."""
    key, resources = f"{job.number:064d}", Resources(128, 0, 0, 0, 49152)
    build = Build(key, job.target, ("-O3",), "nvcc 13.0", BUILD_SECONDS, "", None, b"", key, resources)
    return Candidate(job.number, job.configuration, (WorkloadBuild(job.workloads[0], {}, build),))


def measurement(measured: Candidate) -> Measurement:
    """Return a pass or, where FAILING divides the trial's number, a failure."""
    number, workload = measured.number, measured.builds[0].workload
    passed = number % FAILING > 0
    reason = None if passed else "100 launches must give the same bits, got 2 results"
    gate = GateResult(GATE, passed, reason, workload)
    if not passed:
        return Measurement(number, (gate,), (), GATE, reason, MEASURE_SECONDS)
    speedup = 1.0 + number % 97 / 100
    [built] = measured.builds
    timings = (_timing(built, "cold", speedup), _timing(built, "warm", speedup))
    return Measurement(number, (gate,), timings, None, None, MEASURE_SECONDS)


def _timing(built: WorkloadBuild, mode: Literal["cold", "warm"], speedup: float) -> Timing:
    median_us = BASELINE_US / speedup
    return Timing(
        workload=built.workload,
        mode=mode,
        build_key=built.build.key,
        baseline=BASELINE,
        median_us=median_us,
        p50_us=median_us,
        p90_us=median_us,
        p99_us=median_us,
        baseline_us=BASELINE_US,
        speedup=speedup,
        speedup_low=0.99 * speedup,
        speedup_high=1.01 * speedup,
        blocks=12,
        dropped_blocks=0,
        censored=False,
        samples={"candidate": [(median_us, median_us)] * 12, BASELINE: [(BASELINE_US, BASELINE_US)] * 12},
        conditions={},
    )
