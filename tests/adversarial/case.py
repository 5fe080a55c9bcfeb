"""A case of the adversarial suite: a fault, and the refusal that it must meet in each form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """The gate that must refuse a kernel, and what its reason must say.

    `sooner` names gates that chance may let refuse it before, for other reasons: what a race writes is anybody's guess.
    """

    gate: str
    told: str
    sooner: tuple[str, ...] = ()


@dataclass(frozen=True)
class Absent:
    """Why a fault has no such form."""

    why: str


@dataclass(frozen=True)
class Case:
    """A fault of tests/adversarial/attention, what it does, and what must become of it on a CPU and on a GPU."""

    fault: str
    does: str
    cpu: Refusal | Absent
    cuda: Refusal | Absent
    workload: str = "small"
    cuda_workload: str = "small"


@dataclass(frozen=True)
class Group:
    """Cases of a kind, under a title of the page."""

    title: str
    cases: tuple[Case, ...]


def both(fault: str, does: str, gate: str, told: str) -> Case:
    """Make a case that meets the same refusal in both forms."""
    return Case(fault, does, Refusal(gate, told), Refusal(gate, told))
