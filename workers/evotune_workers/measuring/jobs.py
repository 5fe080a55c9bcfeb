"""Jobs of a worker and their results: frozen dataclasses that travel between the search and Ray's nodes.

Nothing here imports torch, so that a search and a worker can start without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from evotune_workers.compilers.candidate import Candidate, StageBuild
from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.gates.gate import GateResult
from evotune_workers.timing.statistics import Interval
from evotune_workers.timing.summary import Timing

if TYPE_CHECKING:
    from evotune_workers.diagnosis.finding import Diagnosis  # noqa: F401  # named in the base of DiagnoseJob

Result = TypeVar("Result")


class Job(Generic[Result]):
    """Work for one device, with a result of type `Result`."""


@dataclass(frozen=True)
class Measurement:
    """Result of a trial's checks and timing; `failed_gate` None means that it passed.

    `busy`: the machine was too busy for a timing, which is not the configuration's fault; worth another attempt.
    `refuted`: the figures of a gate broke its rule; no child died or hung, and nothing was missing.
    `waited`: seconds for which a GPU had nothing to do before this job; 0 for its first job.
    """

    number: int
    gates: tuple[GateResult, ...]
    timings: tuple[Timing, ...]
    failed_gate: str | None
    reason: str | None
    seconds: float
    busy: bool = False
    refuted: bool = False
    waited: float = 0.0


@dataclass(frozen=True)
class Duel:
    """Two candidates timed against each other: `ratio` = second's time / first's (over 1: the first is faster)."""

    ratio: Interval
    first_us: float
    second_us: float


@dataclass(frozen=True)
class WarmUpJob(Job[None]):
    """Compute the references of these workloads before there is a candidate to compare with them."""

    workloads: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class MeasureJob(Job[Measurement]):
    """Check and time one trial. `incumbents` holds the low end of the best speed-up so far, by workload."""

    candidate: Candidate
    variant: str
    seeds: tuple[int, ...]
    incumbents: Mapping[str, float]


@dataclass(frozen=True)
class ConfirmJob(Job[tuple[Measurement, ...]]):
    """Check finalists on new seeds and time them interleaved with each other, in a fresh process."""

    candidates: tuple[Candidate, ...]
    variant: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class DiagnoseJob(Job["Diagnosis"]):
    """Trace the wrong result of a candidate to a stage; `stages` are its builds for the stages before the output."""

    candidate: Candidate
    wrong: WrongResult
    stages: tuple[StageBuild, ...]
    variant: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class CompareJob(Job[Duel]):
    """Time two candidates against each other, at their first workload, on cold caches."""

    first: Candidate
    second: Candidate
    variant: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class CompareWithBaselinesJob(Job[Timing]):
    """Time a candidate against every baseline, as finalists are timed, at its first workload, on cold caches."""

    candidate: Candidate
    variant: str
    seeds: tuple[int, ...]
