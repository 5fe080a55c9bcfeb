"""Dispatcher between the search and its cluster: carries out actions, and returns events.

Builds run on any core. A GPU's worker has the next job waiting while it measures, so that it never waits for the
sampler; time limits are the worker's own and count work, not queueing. A CPU's worker shares the machine with builds
and the sampler, and has one job at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from evotune.errors import last_line
from evotune.search.dispatch.actions import Action, Build, BuildStages, CheckHealth, Diagnose, Measure, Restart
from evotune.search.dispatch.events import (
    Built,
    Diagnosed,
    Event,
    Gone,
    HealthChecked,
    Joined,
    Measured,
    NotDiagnosed,
    Note,
    StagesBuilt,
)
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.measuring.jobs import Measurement

# Times in all that a job is done which Ray lost, or which a busy machine left without a result.
ATTEMPTS = 3
JOBS_AHEAD = 2


class Dispatcher:
    """Keeps the jobs that are under way, and the workers that have a slot free for the next one."""

    def __init__(self, cluster: Cluster, pool: WorkerPool | None) -> None:
        """Begin with the pool's workers, all idle. Without a pool it only builds."""
        self._cluster, self._pool = cluster, pool
        self._building: dict[Any, Build | BuildStages] = {}
        self._working: dict[Any, Measure | CheckHealth | Diagnose] = {}
        self._attempts: dict[int, int] = {}
        self._waited, self._worked = 0.0, 0.0
        self._present: set[Worker] = set()
        self._leaving: set[Worker] = set()
        self._idle: list[Worker] = []
        for worker in pool.workers if pool is not None else ():
            self._add(worker)

    @property
    def idle(self) -> tuple[Worker, ...]:
        """Free slots, those that have been free for longest first; a GPU's worker has two."""
        return tuple(self._idle)

    @property
    def builds_running(self) -> int:
        """Number of configurations that are being built."""
        return sum(isinstance(action, Build) for action in self._building.values())

    @property
    def idle_share(self) -> float | None:
        """Share of their time for which GPU workers had no job, from each one's first job on; None without any."""
        total = self._waited + self._worked
        return self._waited / total if total and self._waited else None

    def carry_out(self, actions: Iterable[Action]) -> None:
        """Give out jobs to the cluster and to idle workers, and restart workers."""
        for action in actions:
            match action:
                case Build() | BuildStages():
                    self._building[self._cluster.build(action.job)] = action
                case Measure() | CheckHealth() | Diagnose():
                    self._idle.remove(action.worker)
                    self._working[self._cluster.submit(action.worker, action.job)] = action
                case Restart(worker):
                    self._restart(worker)

    def wait(self, seconds: float) -> Iterator[Event]:
        """Yield what has happened, waiting at most so long for it.

        Raises the errors of a task that are no ordinary failure. Raises ClusterError when a local Ray or a cluster's
        head is gone, or when nobody has measured for too long. A job's result is taken when the events of the one
        before have been handled, so that an error costs no other result.
        """
        yield from self._update_workers()
        joining = self._pool.futures if self._pool is not None else ()
        futures = [*self._building, *self._working, *joining]
        if not futures:
            time.sleep(seconds)  # nobody measures for now
            return
        done, others = ray.wait(futures, num_returns=1, timeout=seconds)
        if not done:
            self._cluster.require_alive()
        elif others:
            # Take everything else that is there, to record it together.
            done += ray.wait(others, num_returns=len(others), timeout=0)[0]
        for future in done:
            yield from self._take(future)

    def _update_workers(self) -> list[Event]:
        """Ask for workers where there is room; dismiss one that other searches wait for when it has no job left."""
        if not self._cluster.in_touch() or self._pool is None:
            return []
        self._pool.look()
        gone: list[Event] = [Gone(worker, f"{worker.name} did not come back") for worker in self._pool.departed()]
        self._leaving.update(worker for worker in self._pool.surplus if worker in self._present)
        if not self._leaving:
            return gone
        self._idle = [worker for worker in self._idle if worker not in self._leaving]
        for worker in self._leaving - {action.worker for action in self._working.values()}:
            if self._remove(worker):
                self._pool.dismiss(worker)
                gone.append(Gone(worker, f"{worker.name} is given up for other searches"))
        return gone

    def _take(self, future: Any) -> list[Event]:
        if future in self._building:
            return self._take_build(self._building.pop(future), future)
        if future not in self._working:
            return self._take_worker(future)
        action = self._working.pop(future)
        if isinstance(action, Diagnose):
            return [self._take_diagnosis(action, future)]
        return self._take_measurement(action, future)

    def _take_build(self, action: Build | BuildStages, future: Any) -> list[Event]:
        """Take the result of a build; another node builds again what one could not."""
        try:
            built = ray.get(future)
        except RayError as error:
            return self._take_failed_build(action, error)
        if isinstance(built, UnusableNode):
            news = self._cluster.exclude_builder(built)
            self.carry_out([action])
            return [Note(f"{built.host} builds nothing: {built.reason}")] if news else []
        return [Built(built) if isinstance(action, Build) else StagesBuilt(action.trial, built)]

    def _take_failed_build(self, action: Build | BuildStages, error: RayError) -> list[Event]:
        """Build again what Ray lost, and raise what a task raised. Stages are given up: they matter less."""
        if isinstance(action, BuildStages):
            return [NotDiagnosed(action.trial.candidate, last_line(error))]
        if isinstance(error, RayTaskError):
            raise error
        self._cluster.require_alive()
        number = action.job.number
        self._attempts[number] = self._attempts.get(number, 0) + 1
        if self._attempts[number] == ATTEMPTS:
            raise error
        self.carry_out([action])
        return []

    def _take_measurement(self, action: Measure | CheckHealth, future: Any) -> list[Event]:
        measurement, gone = self._measurement(action, future)
        if isinstance(action, CheckHealth):
            return [HealthChecked(action.worker, measurement), *gone]
        self._waited += measurement.waited
        self._worked += measurement.seconds
        return [Measured(action.worker, action.job.candidate, measurement), *gone]

    def _measurement(self, action: Measure | CheckHealth, future: Any) -> tuple[Measurement, list[Event]]:
        """Return a measurement, which is busy where the worker was lost, and the news of that loss."""
        try:
            measurement: Measurement = ray.get(future)
        except RayActorError as lost:
            self._cluster.require_alive()
            reason = f"its measuring worker was lost {ATTEMPTS} times: {type(lost).__name__}"
            failed = Measurement(action.job.candidate.number, (), (), "launch", reason, seconds=0.0, busy=True)
            return failed, self._lose(action.worker)
        self._free(action.worker)
        return measurement, []

    def _take_diagnosis(self, action: Diagnose, future: Any) -> Event:
        """Take the result of a diagnosis; an error of Ray or of the kernel's Python costs only the diagnosis."""
        self._free(action.worker)
        try:
            return Diagnosed(action.worker, action.job.candidate, ray.get(future))
        except RayError as error:
            return NotDiagnosed(action.job.candidate, last_line(error))

    def _take_worker(self, future: Any) -> list[Event]:
        """Add a worker that has come, or come back: until Ray has restarted a lost one, every job fails at once."""
        assert self._pool is not None
        if future not in self._pool.futures:
            return []  # the result that was taken before this one has ended the worker
        change = self._pool.take(future)
        if change is None:
            return []
        if change.worker is None:
            return [Note(change.text)]
        self._add(change.worker)
        events: list[Event] = [Joined(change.worker, change.text)]
        if change.former is not None and change.former.name != change.worker.name:
            events.append(Gone(change.former, f"{change.former.name} did not come back"))
        return events

    def _add(self, worker: Worker) -> None:
        self._present.add(worker)
        self._idle.extend([worker] * (JOBS_AHEAD if worker.device.kind == "cuda" else 1))

    def _remove(self, worker: Worker) -> bool:
        """Remove a worker; return False if it was gone already."""
        if worker not in self._present:
            return False
        self._present.remove(worker)
        self._leaving.discard(worker)
        self._idle = [idle for idle in self._idle if idle is not worker]
        return True

    def _lose(self, worker: Worker) -> list[Event]:
        assert self._pool is not None
        if not self._remove(worker):
            return []
        self._pool.lost(worker)
        return [Gone(worker, f"{worker.name} was lost; its jobs are done again")]

    def _restart(self, worker: Worker) -> None:
        """Restart a worker; it joins again when its new process answers."""
        assert self._pool is not None
        if self._remove(worker):
            self._pool.restart(worker)

    def _free(self, worker: Worker) -> None:
        if worker in self._present and worker not in self._leaving:
            self._idle.append(worker)
