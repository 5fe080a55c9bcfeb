"""Work in the cluster's hands: builds and measurements given out, and what comes back.

Builds run on any core; every measuring worker has one job at a time, so that its time limits count work and not
queueing.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError

from evotune_workers.builder import BuildJob
from evotune_workers.cluster import Cluster, Worker
from evotune_workers.jobs import Candidate, MeasureJob, Measurement

# A job whose measuring worker Ray lost is given out again this often in all.
ATTEMPTS = 3


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


Event = Built | Measured


class Pipeline:
    """Jobs in, events out; first come, first measured in the order of their numbers."""

    def __init__(self, cluster: Cluster, workers: Sequence[Worker], variant: str, seeds: tuple[int, ...]) -> None:
        """`seeds` are those of the inputs that every trial is checked on."""
        self._cluster, self._variant, self._seeds = cluster, variant, seeds
        self._idle = list(workers)
        self._building: dict[Any, BuildJob] = {}
        self._measuring: dict[Any, tuple[Worker, Candidate]] = {}
        self._queue: list[tuple[int, Candidate]] = []
        self._attempts: dict[int, int] = {}

    @property
    def builds_running(self) -> int:
        """How many build tasks are out."""
        return len(self._building)

    def build(self, job: BuildJob) -> None:
        """Gives out a build."""
        self._building[self._cluster.build(job)] = job

    def enqueue(self, candidate: Candidate) -> None:
        """Puts a built candidate in the queue for measuring."""
        heapq.heappush(self._queue, (candidate.number, candidate))

    def dispatch(self, incumbents: Mapping[str, float]) -> list[tuple[Worker, Candidate]]:
        """Gives queued candidates to idle workers; returns who got what."""
        given = []
        while self._queue and self._idle:
            worker = self._idle.pop(0)
            _, candidate = heapq.heappop(self._queue)
            job = MeasureJob(candidate, self._variant, self._seeds, dict(incumbents))
            self._measuring[self._cluster.measure(worker, job)] = (worker, candidate)
            given.append((worker, candidate))
        return given

    def wait(self, seconds: float) -> list[Event]:
        """What came back, at the latest after that time. Raises what a task raised beyond ordinary failure."""
        futures = [*self._building, *self._measuring]
        if not futures:
            return []
        done, _ = ray.wait(futures, num_returns=1, timeout=seconds)
        return [event for future in done if (event := self._take(future)) is not None]

    def _take(self, future: Any) -> Event | None:
        if future in self._building:
            del self._building[future]
            return Built(ray.get(future))
        worker, candidate = self._measuring.pop(future)
        self._idle.append(worker)
        try:
            return Measured(worker, candidate, ray.get(future))
        except RayActorError as lost:
            return self._lost(worker, candidate, lost)

    def _lost(self, worker: Worker, candidate: Candidate, lost: RayActorError) -> Event | None:
        """Ray restarts the actor; its job goes back in the queue, unless it has been lost too often."""
        attempts = self._attempts[candidate.number] = self._attempts.get(candidate.number, 0) + 1
        if attempts < ATTEMPTS:
            self.enqueue(candidate)
            return None
        reason = f"its measuring worker was lost {attempts} times: {type(lost).__name__}"
        return Measured(worker, candidate, Measurement(candidate.number, (), (), "launch", reason, seconds=0.0))
