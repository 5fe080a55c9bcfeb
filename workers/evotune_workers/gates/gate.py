"""What a gate is, and what it says."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from evotune_workers.kernel.output_errors import Errors

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import Bench

# What a child's death says where no gate knows more.
DIED = "the process running it died"


@dataclass(frozen=True)
class Finding:
    """What one check measured, before anyone judges it. Errors are per group (attention: per head)."""

    figures: Mapping[str, Any]
    workload: str | None = None
    distribution: str | None = None
    seed: int | None = None
    errors: Errors | None = None


@dataclass(frozen=True)
class GateResult:
    """The verdict on one check. `max_error` and `rms_error` are those of the group closest to (or past) its limit."""

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
    """One check that a configuration must pass. `time_limit_seconds` bounds its `measure` for one workload.

    `if_it_dies` is the reason when the process that measures dies; how it died is appended.
    """

    name: ClassVar[str]
    time_limit_seconds: ClassVar[float]
    if_it_dies: ClassVar[str] = DIED

    def limit_seconds(self, baseline_us: float) -> float:
        """The time limit where a call of the pinned baseline takes `baseline_us`."""
        return self.time_limit_seconds

    @abc.abstractmethod
    def measure(self, bench: Bench) -> Iterator[Finding]:
        """Runs in the child: launches the build and yields figures, without judging them."""

    @abc.abstractmethod
    def judge(self, finding: Finding, bench_facts: BenchFacts) -> GateResult:
        """Runs in the actor: compares the figures with the limits."""

    def verdict(self, finding: Finding, reason: str | None, **figures: float | None) -> GateResult:
        """A result that passes when there is no reason against it."""
        return GateResult(
            gate=self.name,
            passed=reason is None,
            reason=reason,
            workload=finding.workload,
            distribution=finding.distribution,
            seed=finding.seed,
            figures=finding.figures,
            **figures,
        )


@dataclass(frozen=True)
class BenchFacts:
    """What judging needs to know of the job, without trusting the child; `moved_bytes` as in kernel.Cost."""

    macros: Mapping[str, str]
    max_factor: float
    rms_factor: float
    floor_us: float
    moved_bytes: float
