"""Wrong results that wait for a diagnosis, beside the search.

The stages of one trial after another are built, and a worker that has nothing to measure runs them. So a search with
many wrong results is hardly slower, and its budget is for configurations alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from evotune_workers.compilers.builder import StageBuildJob
from evotune_workers.compilers.candidate import Candidate, StageBuild
from evotune_workers.diagnosis.wrong_result import WrongResult, wrong_result
from evotune_workers.kernel.contract import Variant
from evotune_workers.measuring.jobs import DiagnoseJob, Measurement

# Limit for one run of a search, since those left at its end take a few seconds each. `evotune diagnose` does any trial.
DIAGNOSES_MOST = 16


@dataclass(frozen=True)
class WrongTrial:
    """A candidate with its wrong result, and the target that it was built for."""

    candidate: Candidate
    wrong: WrongResult
    target: str

    def stage_build_job(self, variant: str) -> StageBuildJob:
        """Return the job that builds the stages of the very build that gave the wrong result."""
        built = next(built for built in self.candidate.builds if built.workload == self.wrong.built_for)
        return StageBuildJob(variant, self.target, built.workload, built.macros)


class DiagnosisQueue:
    """Takes in wrong results and hands out the jobs of their diagnoses, in the order in which they came."""

    def __init__(self, variant: Variant, seeds: tuple[int, ...]) -> None:
        """Begin empty. Trials are checked on inputs of these seeds."""
        self._variant, self._seeds = variant, seeds
        self._added = 0
        self._unbuilt: deque[WrongTrial] = deque()
        self._building: WrongTrial | None = None
        self._ready: deque[DiagnoseJob] = deque()
        self._running: set[int] = set()

    @property
    def pending(self) -> bool:
        """True while a diagnosis is yet to come."""
        return bool(self._unbuilt or self._building or self._ready or self._running)

    def add(self, candidate: Candidate, measurement: Measurement, target: str) -> None:
        """Add a candidate if its measurement ended with a wrong result."""
        wrong = wrong_result(measurement.gates, [built.workload for built in candidate.builds])
        if wrong is None or not self._variant.stages or self._added == DIAGNOSES_MOST:
            return
        self._added += 1
        self._unbuilt.append(WrongTrial(candidate, wrong, target))

    def next_to_build(self) -> WrongTrial | None:
        """Hand out the next trial whose stages to build: one at a time, for other cores build configurations."""
        if self._building is not None or not self._unbuilt:
            return None
        self._building = self._unbuilt.popleft()
        return self._building

    def built(self, trial: WrongTrial, stages: tuple[StageBuild, ...]) -> None:
        """Take in the stages of a trial."""
        self._building = None
        self._ready.append(DiagnoseJob(trial.candidate, trial.wrong, stages, self._variant.name, self._seeds))

    def next_job(self) -> DiagnoseJob | None:
        """Hand out the next job for a worker, if there is one."""
        if not self._ready:
            return None
        job = self._ready.popleft()
        self._running.add(job.candidate.number)
        return job

    def finished(self, candidate: Candidate) -> None:
        """Drop a candidate, whether it was diagnosed or its diagnosis was lost."""
        self._running.discard(candidate.number)
        if self._building is not None and self._building.candidate.number == candidate.number:
            self._building = None
