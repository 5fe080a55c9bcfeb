"""Wrong results on their way to a diagnosis, beside the search.

The stages of one trial after another are built; a worker that has nothing to measure runs them. So a search with many
wrong results is hardly slower, and its budget is for configurations alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from evotune.errors import last_line
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.compilers.builder import StageBuildJob
from evotune_workers.compilers.candidate import Candidate, StageBuild
from evotune_workers.diagnosis.finding import Diagnosis
from evotune_workers.diagnosis.wrong_result import WrongResult, wrong_result
from evotune_workers.kernel.contract import Variant
from evotune_workers.measuring.jobs import DiagnoseJob, Measurement

# Of one run of a search: at its end those that are left take a few seconds each. `evotune diagnose` does any trial.
DIAGNOSES_MOST = 16


@dataclass(frozen=True)
class Diagnosed:
    """A diagnosis came back."""

    worker: Worker
    candidate: Candidate
    diagnosis: Diagnosis


@dataclass(frozen=True)
class NotDiagnosed:
    """A diagnosis was lost on its way; `worker` is None while its stages were built."""

    worker: Worker | None
    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Suspect:
    """A candidate with its wrong result, and the target that it was built for."""

    candidate: Candidate
    wrong: WrongResult
    target: str


class Diagnoses:
    """Wrong results in, diagnoses out, in the order in which they were met."""

    def __init__(self, cluster: Cluster, variant: Variant, seeds: tuple[int, ...]) -> None:
        """`seeds` are those of the inputs that trials are checked on."""
        self._cluster, self._variant, self._seeds = cluster, variant, seeds
        self._met = 0
        self._suspects: deque[Suspect] = deque()
        self._building: dict[Any, Suspect] = {}
        self._ready: deque[DiagnoseJob] = deque()
        self._running: dict[Any, tuple[Worker, Candidate]] = {}

    @property
    def futures(self) -> tuple[Any, ...]:
        """What is out."""
        return (*self._building, *self._running)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that run one."""
        return tuple(worker for worker, _ in self._running.values())

    @property
    def under_way(self) -> bool:
        """Whether a diagnosis is yet to come."""
        return bool(self._suspects or self._building or self._ready or self._running)

    def meet(self, candidate: Candidate, measurement: Measurement, target: str) -> None:
        """Takes on a candidate whose measurement ended with a wrong result; no other."""
        wrong = wrong_result(measurement.gates, [built.workload for built in candidate.builds])
        if wrong is None or not self._variant.stages or self._met == DIAGNOSES_MOST:
            return
        self._met += 1
        self._suspects.append(Suspect(candidate, wrong, target))
        self._build_next()

    def give(self, worker: Worker) -> Candidate | None:
        """Gives the worker the next candidate whose stages are built, if there is one."""
        if not self._ready:
            return None
        job = self._ready.popleft()
        self._running[self._cluster.submit(worker, job)] = (worker, job.candidate)
        return job.candidate

    def take(self, future: Any) -> Diagnosed | NotDiagnosed | None:
        """What a future of `futures` came to. Whatever Ray or a kernel's Python does costs no more than a diagnosis."""
        if future in self._building:
            return self._take_build(self._building.pop(future), future)
        worker, candidate = self._running.pop(future)
        try:
            return Diagnosed(worker, candidate, ray.get(future))
        except RayError as error:
            return NotDiagnosed(worker, candidate, last_line(error))

    def _take_build(self, suspect: Suspect, future: Any) -> NotDiagnosed | None:
        try:
            stages: tuple[StageBuild, ...] | UnusableNode = ray.get(future)
        except RayError as error:
            return NotDiagnosed(None, suspect.candidate, last_line(error))
        finally:
            self._build_next()
        if isinstance(stages, UnusableNode):
            self._cluster.exclude_builder(stages)
            self._suspects.append(suspect)
            self._build_next()
            return None
        self._ready.append(DiagnoseJob(suspect.candidate, suspect.wrong, stages, self._variant.name, self._seeds))
        return None

    def _build_next(self) -> None:
        """One trial's stages at a time: the other cores build configurations."""
        if self._building or not self._suspects:
            return
        suspect = self._suspects.popleft()
        self._building[self._cluster.build(stage_build_job(suspect, self._variant.name))] = suspect


def stage_build_job(suspect: Suspect, variant: str) -> StageBuildJob:
    """The stages of the very build that gave the wrong result."""
    built = next(built for built in suspect.candidate.builds if built.workload == suspect.wrong.built_for)
    return StageBuildJob(variant, suspect.target, built.workload, built.macros)
