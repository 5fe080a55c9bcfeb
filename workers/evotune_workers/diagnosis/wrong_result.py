"""Which of a trial's failures are wrong results, and on which inputs they were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evotune_workers.kernel.contract import Configuration, Kernel, Workload
from evotune_workers.kernel.folder import named_workload

MEMORY = "memory"
# Their failures, when they have inputs, are wrong values.
COMPARING_GATES = ("structure", "numerics", "tails")


class Verdict(Protocol):
    """A gate's verdict, fresh or read from the record."""

    @property
    def gate(self) -> str:
        """The gate's name."""

    @property
    def passed(self) -> bool:
        """Whether the check passed."""

    @property
    def workload(self) -> str | None:
        """What was run: a workload of the search, or one of its tails."""

    @property
    def distribution(self) -> str | None:
        """Of the inputs; a case's name at the gate `structure`."""

    @property
    def seed(self) -> int | None:
        """Of the inputs."""

    @property
    def figures(self) -> Mapping[str, Any]:
        """What was found beside errors."""


@dataclass(frozen=True)
class WrongResult:
    """A check that failed with wrong values. `built_for` is the search's workload whose build was run.

    `distribution` and `seed` are None where the gate takes the first of each.
    """

    gate: str
    workload: str
    distribution: str | None
    seed: int | None
    built_for: str


def wrong_result(verdicts: Sequence[Verdict], workloads: Sequence[str]) -> WrongResult | None:
    """The first failure, if it is a wrong result; `workloads` are those of the search."""
    failed = next((place for place, verdict in enumerate(verdicts) if not verdict.passed), None)
    if failed is None or not _has_wrong_values(verdicts[failed]):
        return None
    verdict = verdicts[failed]
    # A tail goes by its own name: the last workload of the search before it is the one whose build was loaded.
    built_for = next(each.workload for each in reversed(verdicts[: failed + 1]) if each.workload in workloads)
    assert verdict.workload is not None and built_for is not None
    return WrongResult(verdict.gate, verdict.workload, verdict.distribution, verdict.seed, built_for)


def traced_workload(kernel: Kernel, configuration: Configuration, wrong: WrongResult) -> Workload:
    """The workload that was wrong, or what the kernel has in its place where it is too large."""
    built_for = named_workload(kernel, wrong.built_for)
    known = (built_for, *kernel.tails(built_for, configuration))
    return kernel.traceable(next(workload for workload in known if workload.name == wrong.workload))


def _has_wrong_values(verdict: Verdict) -> bool:
    """A crash or a hang has neither inputs nor figures."""
    if verdict.gate == MEMORY:
        return any(verdict.figures.get(name, 0) > 0 for name in ("unwritten", "infinite"))
    return verdict.gate in COMPARING_GATES and verdict.distribution is not None
