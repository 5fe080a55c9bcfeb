"""Events that come back from a cluster while a search runs."""

from __future__ import annotations

from dataclasses import dataclass

from evotune.search.workers.diagnosis_queue import WrongTrial
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.candidate import Candidate, StageBuild
from evotune_workers.diagnosis.finding import Diagnosis
from evotune_workers.measuring.jobs import Measurement


@dataclass(frozen=True)
class Built:
    """A build has ended, successful or not."""

    candidate: Candidate


@dataclass(frozen=True)
class StagesBuilt:
    """The stages of a trial with a wrong result are built."""

    trial: WrongTrial
    stages: tuple[StageBuild, ...]


@dataclass(frozen=True)
class Measured:
    """A worker has measured a trial; `busy` in the measurement says that it has no result."""

    worker: Worker
    candidate: Candidate
    measurement: Measurement


@dataclass(frozen=True)
class HealthChecked:
    """A worker has measured the reference again."""

    worker: Worker
    measurement: Measurement


@dataclass(frozen=True)
class Diagnosed:
    """A diagnosis has ended."""

    worker: Worker
    candidate: Candidate
    diagnosis: Diagnosis


@dataclass(frozen=True)
class NotDiagnosed:
    """A diagnosis was lost, for this reason."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Joined:
    """A worker has joined, or come back after it was lost; `text` says so in a line."""

    worker: Worker
    text: str


@dataclass(frozen=True)
class Gone:
    """A worker was lost, or given up for other searches; it may join again. `text` says so in a line."""

    worker: Worker
    text: str


@dataclass(frozen=True)
class Note:
    """A line about the cluster for the user."""

    text: str


Event = Built | StagesBuilt | Measured | HealthChecked | Diagnosed | NotDiagnosed | Joined | Gone | Note
