"""What travels between the orchestrator and Ray nodes: jobs in, results out; plain frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evotune_workers.compilers.candidate import Candidate, StageBuild
from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.gates.gate import GateResult
from evotune_workers.timing.summary import Timing


@dataclass(frozen=True)
class WarmUpJob:
    """What a worker can do before there is a candidate: ready what trials at these workloads are compared with."""

    workloads: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class MeasureJob:
    """One trial to check and time. `incumbents` holds the best speed-up's low end so far, by workload."""

    candidate: Candidate
    variant: str
    seeds: tuple[int, ...]
    incumbents: Mapping[str, float]


@dataclass(frozen=True)
class ConfirmJob:
    """Finalists to check on new seeds and to time interleaved with each other, in a fresh process."""

    candidates: tuple[Candidate, ...]
    variant: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class DiagnoseJob:
    """A candidate that gave a wrong result, and its builds for the stages before the output."""

    candidate: Candidate
    wrong: WrongResult
    stages: tuple[StageBuild, ...]
    variant: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Measurement:
    """What a trial's checks and timing came to; `failed_gate` None means that it passed.

    `busy`: the machine was too busy for a timing, which is not the configuration's fault; worth another attempt.
    `refuted`: it failed by the figures of a gate, and neither by a child that died or hung nor for want of anything.
    `waited`: seconds that the worker had nothing to do before this job; 0 for its first.
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
