"""A case of the adversarial suite: a fault, and the refusal that its CPU form and its CUDA form must get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """The gate that must refuse a kernel, and a part of its reason.

    `earlier_gates` may refuse it first, for other reasons, because the output of a race is random.
    """

    gate: str
    reason: str
    earlier_gates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Absent:
    """The reason why a fault has no such form."""

    reason: str


@dataclass(frozen=True)
class Case:
    """A fault of tests/adversarial/attention, its effect, and its required refusal on a CPU and on a GPU."""

    fault: str
    does: str
    cpu: Refusal | Absent
    cuda: Refusal | Absent
    workload: str = "small"
    cuda_workload: str = "small"


@dataclass(frozen=True)
class Group:
    """Cases of one kind, under one title of the page."""

    title: str
    cases: tuple[Case, ...]


def both(fault: str, does: str, gate: str, reason: str) -> Case:
    """Return a case with the same refusal in both forms."""
    return Case(fault, does, Refusal(gate, reason), Refusal(gate, reason))
