"""What comes back from a cluster while a search runs."""

from __future__ import annotations

from dataclasses import dataclass

from evotune.search.workers.diagnosis_queue import Diagnosed, NotDiagnosed
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.measuring.jobs import Measurement


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
class HealthChecked:
    """A worker's measurement of the canary came back."""

    worker: Worker
    measurement: Measurement


@dataclass(frozen=True)
class Told:
    """Something to know of the cluster, in one line."""

    text: str


@dataclass(frozen=True)
class Gone:
    """A worker was lost, or given up for other searches; it may come back as another of its name. `text`: in a line."""

    worker: Worker
    text: str


Event = Built | Measured | HealthChecked | Diagnosed | NotDiagnosed | Told | Gone
