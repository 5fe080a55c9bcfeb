"""Work in the cluster's hands: builds and measurements given out, and what comes back.

Builds run on any core. A GPU's worker has the next job waiting while it measures, so that it never waits for the
sampler; time limits are the worker's own and count work, not queueing. A CPU's worker shares the machine with builds
and the sampler, and has one job at a time.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from evotune.canary import Canaries
from evotune.suspects import Diagnosed, Diagnoses, NotDiagnosed
from evotune_workers.builder import BuildJob
from evotune_workers.cluster import Cluster, Worker
from evotune_workers.jobs import Candidate, MeasureJob, Measurement
from evotune_workers.kernel import Variant

# A job that Ray lost, or that a busy machine left without a result, is given out this often in all.
ATTEMPTS = 3
JOBS_AHEAD = 2
RETURN_SECONDS = 0.1


@dataclass(frozen=True)
class Built:
    """A build task came back, successful or not."""

    candidate: Candidate


@dataclass(frozen=True)
class Measured:
    """A measurement came back."""

    worker: Worker
    candidate: Candidate
    measurement: Measurement


@dataclass(frozen=True)
class CanaryRead:
    """A worker's measurement of the canary came back."""

    worker: Worker
    measurement: Measurement


Event = Built | Measured | CanaryRead | Diagnosed | NotDiagnosed


class Pipeline:
    """Jobs in, events out; first come, first measured in the order of their numbers."""

    def __init__(
        self,
        cluster: Cluster,
        workers: Sequence[Worker],
        variant: Variant,
        seeds: tuple[int, ...],
        canaries: Canaries | None = None,
    ) -> None:
        """`seeds` are those of the inputs that every trial is checked on. Without workers it only builds.

        Workers that `canaries` doubts measure no trial; without any, nothing is known of them yet.
        """
        self.canaries = canaries or Canaries(workers)
        self._reading: dict[Any, tuple[Worker, Candidate]] = {}
        self._cluster, self._variant, self._seeds = cluster, variant, seeds
        self._idle = [worker for ahead in range(JOBS_AHEAD) for worker in workers if ahead == 0 or _is_gpu(worker)]
        self._waited, self._worked = 0.0, 0.0
        self._building: dict[Any, BuildJob] = {}
        self._measuring: dict[Any, tuple[Worker, Candidate]] = {}
        self._returning: dict[Any, Worker] = {}
        self._queue: list[tuple[int, Candidate]] = []
        self._attempts: dict[int, int] = {}
        self._diagnoses = Diagnoses(cluster, variant, seeds)

    @property
    def builds_running(self) -> int:
        """How many build tasks are out."""
        return len(self._building)

    @property
    def idle_share(self) -> float | None:
        """Share of their time that GPU workers had nothing to do, from each one's first job on; None without any."""
        total = self._waited + self._worked
        return self._waited / total if total and self._waited else None

    def build(self, job: BuildJob) -> None:
        """Gives out a build."""
        self._building[self._cluster.build(job)] = job

    def enqueue(self, candidate: Candidate) -> None:
        """Puts a built candidate in the queue for measuring."""
        heapq.heappush(self._queue, (candidate.number, candidate))

    def dispatch(self, incumbents: Mapping[str, float]) -> list[tuple[Worker, Candidate]]:
        """Gives queued candidates to idle workers; returns who got what."""
        given = []
        while self._queue and (worker := self._next_trusted()) is not None:
            _, candidate = heapq.heappop(self._queue)
            job = MeasureJob(candidate, self._variant.name, self._seeds, dict(incumbents))
            self._measuring[self._cluster.measure(worker, job)] = (worker, candidate)
            given.append((worker, candidate))
        return given

    def dispatch_canaries(self) -> list[Worker]:
        """Has idle workers measure the canary where it is due; returns which."""
        given = []
        for worker in list(self._idle):
            if (canary := self.canaries.candidate) is not None and self.canaries.due(worker):
                self._idle.remove(worker)
                self.canaries.give(worker)
                job = MeasureJob(canary, self._variant.name, self._seeds, {})
                self._reading[self._cluster.measure(worker, job)] = (worker, canary)
                given.append(worker)
        return given

    def restart(self, worker: Worker) -> None:
        """Gives a worker a fresh process; it has work again when it answers."""
        self._cluster.restart(worker)
        slots = [idle for idle in self._idle if idle.name == worker.name]
        self._idle = [idle for idle in self._idle if idle.name != worker.name]
        for slot in slots:
            self._returning[self._cluster.describe(slot)] = slot

    @property
    def diagnosing(self) -> bool:
        """Whether a diagnosis is yet to come."""
        return self._diagnoses.under_way

    def diagnose(self, worker: Worker, candidate: Candidate, measurement: Measurement) -> None:
        """Traces what the worker measured to the stage at fault, if it was a wrong result, when there is time."""
        self._diagnoses.meet(candidate, measurement, worker.device.target)

    def dispatch_diagnoses(self) -> list[tuple[Worker, Candidate]]:
        """Gives diagnoses to workers that no candidate is queued for; returns who got what."""
        given = []
        while not self._queue and (worker := self._next_trusted()) is not None:
            candidate = self._diagnoses.give(worker)
            if candidate is None:
                self._idle.insert(0, worker)
                break
            given.append((worker, candidate))
        return given

    def wait(self, seconds: float) -> list[Event]:
        """What came back, at the latest after that time. Raises what a task raised beyond ordinary failure,
        and ClusterError when a local Ray is gone.
        """
        out = (self._building, self._measuring, self._reading, self._returning)
        futures = [*(future for each in out for future in each), *self._diagnoses.futures]
        if not futures:
            return []
        done, _ = ray.wait(futures, num_returns=1, timeout=seconds)
        if not done:
            self._cluster.require_alive()
        return [event for future in done if (event := self._take(future)) is not None]

    def _take(self, future: Any) -> Event | None:
        if future in self._building:
            return self._take_build(self._building.pop(future), future)
        if future in self._returning:
            self._take_back(self._returning.pop(future), future)
            return None
        if future in self._reading:
            worker, canary = self._reading.pop(future)
            return CanaryRead(worker, self._measurement(worker, canary.number, future))
        if future not in self._measuring:
            return self._take_diagnosis(future)
        worker, candidate = self._measuring.pop(future)
        measurement = self._measurement(worker, candidate.number, future)
        self._waited += measurement.waited
        self._worked += measurement.seconds
        if measurement.busy and self._may_try_again(candidate.number):
            self.enqueue(candidate)
            return None
        return Measured(worker, candidate, measurement)

    def _measurement(self, worker: Worker, number: int, future: Any) -> Measurement:
        """What came back, and the worker with it, or a measurement without a result."""
        try:
            measurement: Measurement = ray.get(future)
        except RayActorError as lost:
            self._cluster.require_alive()
            self._returning[self._cluster.describe(worker)] = worker
            reason = f"its measuring worker was lost {ATTEMPTS} times: {type(lost).__name__}"
            return Measurement(number, (), (), "launch", reason, seconds=0.0, busy=True)
        self._idle.append(worker)
        return measurement

    def _next_trusted(self) -> Worker | None:
        """Takes the worker that has been idle for longest of those that may measure trials."""
        for place, worker in enumerate(self._idle):
            if self.canaries.trusted(worker):
                return self._idle.pop(place)
        return None

    def _take_back(self, worker: Worker, future: Any) -> None:
        """A lost worker has work again when it answers: until Ray has restarted it, every job fails at once."""
        try:
            ray.get(future)
            self._idle.append(worker)
        except ActorUnavailableError:
            self._cluster.require_alive()
            time.sleep(RETURN_SECONDS)
            self._returning[self._cluster.describe(worker)] = worker

    def _take_build(self, job: BuildJob, future: Any) -> Event | None:
        """What a task raises is raised here; a task that Ray lost with its worker is given out again."""
        try:
            return Built(ray.get(future))
        except RayTaskError:
            raise
        except RayError:
            self._cluster.require_alive()
            if not self._may_try_again(job.number):
                raise
            self.build(job)
            return None

    def _take_diagnosis(self, future: Any) -> Event | None:
        event = self._diagnoses.take(future)
        if event is not None and event.worker is not None:
            self._idle.append(event.worker)
        return event

    def _may_try_again(self, number: int) -> bool:
        self._attempts[number] = self._attempts.get(number, 0) + 1
        return self._attempts[number] < ATTEMPTS


def _is_gpu(worker: Worker) -> bool:
    return worker.device.kind == "cuda"
