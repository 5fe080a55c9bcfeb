"""Work in the cluster's hands: builds and measurements given out, and what comes back.

Builds run on any core. A GPU's worker has the next job waiting while it measures, so that it never waits for the
sampler; time limits are the worker's own and count work, not queueing. A CPU's worker shares the machine with builds
and the sampler, and has one job at a time.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Mapping, Set
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from evotune.search.events import Built, Event, Gone, HealthChecked, Measured, Told
from evotune.search.workers.diagnosis_queue import Diagnoses
from evotune.search.workers.worker_health import WorkerHealth
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.contract import Variant
from evotune_workers.measuring.jobs import MeasureJob, Measurement

# A job that Ray lost, or that a busy machine left without a result, is given out this often in all.
ATTEMPTS = 3
JOBS_AHEAD = 2


class Dispatcher:
    """Jobs in, events out; first come, first measured in the order of their numbers."""

    def __init__(
        self,
        cluster: Cluster,
        pool: WorkerPool | None,
        variant: Variant,
        seeds: tuple[int, ...],
        canaries: WorkerHealth | None = None,
    ) -> None:
        """`seeds` are those of the inputs that every trial is checked on. Without a worker pool it only builds.

        Workers that `canaries` doubts measure no trial; without any, nothing is known of them yet.
        """
        self.canaries = canaries or WorkerHealth()
        self._reading: dict[Any, tuple[Worker, Candidate]] = {}
        self._cluster, self._variant, self._seeds = cluster, variant, seeds
        self._waited, self._worked = 0.0, 0.0
        self._building: dict[Any, BuildJob] = {}
        self._measuring: dict[Any, tuple[Worker, Candidate]] = {}
        self._queue: list[tuple[int, Candidate]] = []
        self._attempts: dict[int, int] = {}
        self._diagnoses = Diagnoses(cluster, variant, seeds)
        self._pool = pool
        self._here: set[Worker] = set()
        self._leaving: set[Worker] = set()
        self._idle: list[Worker] = []
        for worker in pool.workers if pool is not None else ():
            self._welcome(worker)

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

    @property
    def upcoming(self) -> list[Candidate]:
        """What `dispatch` would give out now."""
        free = sum(self.canaries.trusted(worker) for worker in self._idle)
        return [candidate for _, candidate in heapq.nsmallest(free, self._queue)] if free else []

    def withdraw(self, numbers: Set[int]) -> None:
        """Takes candidates out of the queue."""
        self._queue = [each for each in self._queue if each[0] not in numbers]
        heapq.heapify(self._queue)

    def dispatch(self, incumbents: Mapping[str, float]) -> list[tuple[Worker, Candidate]]:
        """Gives queued candidates to idle workers; returns who got what."""
        given = []
        while self._queue and (worker := self._next_trusted()) is not None:
            _, candidate = heapq.heappop(self._queue)
            job = MeasureJob(candidate, self._variant.name, self._seeds, dict(incumbents))
            self._measuring[self._cluster.submit(worker, job)] = (worker, candidate)
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
                self._reading[self._cluster.submit(worker, job)] = (worker, canary)
                given.append(worker)
        return given

    def restart(self, worker: Worker) -> None:
        """Gives a worker a fresh process; it has work again when it answers."""
        assert self._pool is not None
        if self._farewell(worker):
            self._pool.restart(worker)

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

    def wait(self, seconds: float) -> Iterator[Event]:
        """What came back, at the latest after that time. Raises what a task raised beyond ordinary failure,
        and ClusterError when a local Ray or a cluster's head is gone, or nobody has measured for too long.

        Each future is taken when what came of the one before has been dealt with, so that an error costs no other.
        """
        yield from self._keep_house()
        awaited = self._pool.futures if self._pool is not None else ()
        out = (self._building, self._measuring, self._reading)
        futures = [*(future for each in out for future in each), *self._diagnoses.futures, *awaited]
        if not futures:
            time.sleep(seconds)  # nobody measures for now
            return
        done, others = ray.wait(futures, num_returns=1, timeout=seconds)
        if not done:
            self._cluster.require_alive()
        elif others:
            # What else is there is booked with it.
            done += ray.wait(others, num_returns=len(others), timeout=0)[0]
        for future in done:
            yield from self._take(future)

    def _keep_house(self) -> list[Event]:
        """Workers are asked for where there is room; one that others wait for goes when it has nothing in hand."""
        if not self._cluster.in_touch() or self._pool is None:
            return []
        self._pool.look()
        gone: list[Event] = [Gone(worker, f"{worker.name} did not come back") for worker in self._pool.departed()]
        self._leaving.update(worker for worker in self._pool.surplus if worker in self._here)
        if not self._leaving:
            return gone
        self._idle = [worker for worker in self._idle if worker not in self._leaving]
        in_hand = {worker for each in (self._measuring, self._reading) for worker, _ in each.values()}
        for worker in self._leaving - in_hand - set(self._diagnoses.workers):
            if self._farewell(worker):
                self._pool.dismiss(worker)
                gone.append(Gone(worker, f"{worker.name} is given up for other searches"))
        return gone

    def _take(self, future: Any) -> list[Event]:
        if future in self._building:
            return self._take_build(self._building.pop(future), future)
        if future in self._reading:
            worker, canary = self._reading.pop(future)
            measurement, gone = self._measurement(worker, canary.number, future)
            return [HealthChecked(worker, measurement), *gone]
        if future in self._measuring:
            return self._take_measurement(*self._measuring.pop(future), future)
        if future in self._diagnoses.futures:
            return self._take_diagnosis(future)
        return self._take_change(future)

    def _take_measurement(self, worker: Worker, candidate: Candidate, future: Any) -> list[Event]:
        measurement, gone = self._measurement(worker, candidate.number, future)
        self._waited += measurement.waited
        self._worked += measurement.seconds
        if measurement.busy and self._may_try_again(candidate.number):
            self.enqueue(candidate)
            return gone
        return [Measured(worker, candidate, measurement), *gone]

    def _measurement(self, worker: Worker, number: int, future: Any) -> tuple[Measurement, list[Event]]:
        """What came back, and the worker with it, or a measurement without a result and word of its end."""
        try:
            measurement: Measurement = ray.get(future)
        except RayActorError as lost:
            self._cluster.require_alive()
            reason = f"its measuring worker was lost {ATTEMPTS} times: {type(lost).__name__}"
            failed = Measurement(number, (), (), "launch", reason, seconds=0.0, busy=True)
            return failed, self._lose(worker)
        self._rest(worker)
        return measurement, []

    def _take_change(self, future: Any) -> list[Event]:
        """A worker that came, or came back: until Ray has restarted a lost one, every job fails at once."""
        assert self._pool is not None
        if future not in self._pool.futures:
            return []  # what came of the future before it has ended this one's worker
        change = self._pool.take(future)
        if change is None:
            return []
        if change.worker is None:
            return [Told(change.text)]
        self._welcome(change.worker)
        came: list[Event] = [Told(change.text)]
        if change.former is not None and change.former.name != change.worker.name:
            came.append(Gone(change.former, f"{change.former.name} did not come back"))
        return came

    def _welcome(self, worker: Worker) -> None:
        self._here.add(worker)
        self.canaries.join(worker)
        self._idle.extend([worker] * (JOBS_AHEAD if _is_gpu(worker) else 1))

    def _farewell(self, worker: Worker) -> bool:
        """Whether it was still here."""
        if worker not in self._here:
            return False
        self._here.remove(worker)
        self._leaving.discard(worker)
        self._idle = [idle for idle in self._idle if idle is not worker]
        return True

    def _lose(self, worker: Worker) -> list[Event]:
        assert self._pool is not None
        if not self._farewell(worker):
            return []
        self._pool.lost(worker)
        return [Gone(worker, f"{worker.name} was lost; what it had in hand is done again")]

    def _rest(self, worker: Worker) -> None:
        if worker in self._here and worker not in self._leaving:
            self._idle.append(worker)

    def _next_trusted(self) -> Worker | None:
        """Takes the worker that has been idle for longest of those that may measure trials."""
        for place, worker in enumerate(self._idle):
            if self.canaries.trusted(worker):
                return self._idle.pop(place)
        return None

    def _take_build(self, job: BuildJob, future: Any) -> list[Event]:
        """What a task raises is raised here; what Ray lost, or a node could not do, is given out again."""
        try:
            built: Candidate | UnusableNode = ray.get(future)
        except RayTaskError:
            raise
        except RayError:
            self._cluster.require_alive()
            if not self._may_try_again(job.number):
                raise
            self.build(job)
            return []
        if not isinstance(built, UnusableNode):
            return [Built(built)]
        news = self._cluster.exclude_builder(built)
        self.build(job)
        return [Told(f"{built.host} builds nothing: {built.reason}")] if news else []

    def _take_diagnosis(self, future: Any) -> list[Event]:
        event = self._diagnoses.take(future)
        if event is None:
            return []
        if event.worker is not None:
            self._rest(event.worker)
        return [event]

    def _may_try_again(self, number: int) -> bool:
        self._attempts[number] = self._attempts.get(number, 0) + 1
        return self._attempts[number] < ATTEMPTS


def _is_gpu(worker: Worker) -> bool:
    return worker.device.kind == "cuda"
