"""Wrong results among a trial's failures, with the inputs on which they occurred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evotune_workers.kernel.contract import Configuration, Kernel, Workload
from evotune_workers.kernel.folder import named_workload

MEMORY = "memory"
# A failure at one of these gates is a wrong value, if it has inputs.
COMPARING_GATES = ("structure", "numerics", "tails")


class Verdict(Protocol):
    """A gate's verdict, from a measurement or from the database."""

    @property
    def gate(self) -> str:
        """The gate's name."""

    @property
    def passed(self) -> bool:
        """True if the check passed."""

    @property
    def workload(self) -> str | None:
        """The name of the workload launched, which is one of the search or one of its tails."""

    @property
    def distribution(self) -> str | None:
        """The distribution of the inputs, or the case's name at the gate `structure`."""

    @property
    def seed(self) -> int | None:
        """The seed of the inputs."""

    @property
    def figures(self) -> Mapping[str, Any]:
        """The gate's figures besides errors."""


@dataclass(frozen=True)
class WrongResult:
    """A check that failed with wrong values; `built_for` is the search's workload whose build was launched.

    `distribution` and `seed` are None for a gate that always uses the kernel's first distribution and seed.
    """

    gate: str
    workload: str
    distribution: str | None
    seed: int | None
    built_for: str


def wrong_result(verdicts: Sequence[Verdict], workloads: Sequence[str]) -> WrongResult | None:
    """Return the first failure if it is a wrong result, or else None; `workloads` are those of the search."""
    failed = next((place for place, verdict in enumerate(verdicts) if not verdict.passed), None)
    if failed is None or not _has_wrong_values(verdicts[failed]):
        return None
    verdict = verdicts[failed]
    # A tail has a name of its own: the last workload of the search before it is the one whose build was loaded.
    built_for = next(each.workload for each in reversed(verdicts[: failed + 1]) if each.workload in workloads)
    assert verdict.workload is not None and built_for is not None
    return WrongResult(verdict.gate, verdict.workload, verdict.distribution, verdict.seed, built_for)


def traced_workload(kernel: Kernel, configuration: Configuration, wrong: WrongResult) -> Workload:
    """Return the workload of the wrong result, or the kernel's smaller substitute where it is too large."""
    built_for = named_workload(kernel, wrong.built_for)
    known = (built_for, *kernel.tails(built_for, configuration))
    return kernel.traceable(next(workload for workload in known if workload.name == wrong.workload))


def _has_wrong_values(verdict: Verdict) -> bool:
    """Return True if a failure is about values; that of a crash or a hang has neither inputs nor figures."""
    if verdict.gate == MEMORY:
        return any(verdict.figures.get(name, 0) > 0 for name in ("unwritten", "infinite"))
    return verdict.gate in COMPARING_GATES and verdict.distribution is not None
