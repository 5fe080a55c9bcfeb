"""Actions that the search asks of a cluster: the loop decides on them, the dispatcher carries them out."""

from __future__ import annotations

from dataclasses import dataclass

from evotune.search.workers.diagnosis_queue import WrongTrial
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.builder import BuildJob, StageBuildJob
from evotune_workers.measuring.jobs import DiagnoseJob, MeasureJob


@dataclass(frozen=True)
class Build:
    """Build a configuration, on any node."""

    job: BuildJob


@dataclass(frozen=True)
class BuildStages:
    """Build the stages of a trial with a wrong result, on any node."""

    trial: WrongTrial
    job: StageBuildJob


@dataclass(frozen=True)
class Measure:
    """Have an idle worker measure a trial."""

    worker: Worker
    job: MeasureJob


@dataclass(frozen=True)
class CheckHealth:
    """Have an idle worker measure the reference again."""

    worker: Worker
    job: MeasureJob


@dataclass(frozen=True)
class Diagnose:
    """Have an idle worker run the stages of a wrong result."""

    worker: Worker
    job: DiagnoseJob


@dataclass(frozen=True)
class Restart:
    """Give a worker a fresh process."""

    worker: Worker


Action = Build | BuildStages | Measure | CheckHealth | Diagnose | Restart
