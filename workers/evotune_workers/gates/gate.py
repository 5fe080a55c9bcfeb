"""The interface of a gate, with the values that it measures, needs and returns."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from evotune_workers.kernel.output_errors import Errors

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild

# The reason when a child dies and the gate has none of its own.
DIED = "the process running it died"


@dataclass(frozen=True)
class Observation:
    """The figures of one check, not yet judged. Errors are per group (attention: per head)."""

    figures: Mapping[str, Any]
    workload: str | None = None
    distribution: str | None = None
    seed: int | None = None
    errors: Errors | None = None


@dataclass(frozen=True)
class GateResult:
    """The verdict on one check; `max_error` and `rms_error` are those of the group closest to (or past) its limit."""

    gate: str
    passed: bool
    reason: str | None = None
    workload: str | None = None
    distribution: str | None = None
    seed: int | None = None
    max_error: float | None = None
    max_limit: float | None = None
    rms_error: float | None = None
    rms_limit: float | None = None
    seconds: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


class Gate(abc.ABC):
    """One check that a configuration must pass; `time_limit_seconds` bounds `measure` for one workload.

    `if_it_dies` is the reason when the measuring process dies; the manner of its death is appended.
    """

    name: ClassVar[str]
    time_limit_seconds: ClassVar[float]
    if_it_dies: ClassVar[str] = DIED

    def limit_seconds(self, baseline_us: float) -> float:
        """Return the time limit, given that a call of the pinned baseline takes `baseline_us`."""
        return self.time_limit_seconds

    @abc.abstractmethod
    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Launch the build and yield figures, without judging them; runs in the child."""

    @abc.abstractmethod
    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Compare the figures with their limits; runs in the measuring actor."""

    def verdict(self, observation: Observation, reason: str | None, **figures: float | None) -> GateResult:
        """Return a result for an observation: passed without a reason, failed with one."""
        return GateResult(
            gate=self.name,
            passed=reason is None,
            reason=reason,
            workload=observation.workload,
            distribution=observation.distribution,
            seed=observation.seed,
            figures=observation.figures,
            **figures,
        )


@dataclass(frozen=True)
class GateCriteria:
    """The criteria of one job, computed outside of the child, which is not trusted.

    `macros` are those requested, the factors those of `NumericsLimits`, `floor_us` is the roofline floor of a call,
    and `moved_bytes` the bytes of `Cost`.
    """

    macros: Mapping[str, str]
    max_factor: float
    rms_factor: float
    floor_us: float
    moved_bytes: float
