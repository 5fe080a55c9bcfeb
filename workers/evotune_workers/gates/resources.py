"""Gate resources: the compiler's resource report is within the limits of the space. It needs no launch."""

from __future__ import annotations

from collections.abc import Mapping

from evotune_workers.compilers.candidate import WorkloadBuild
from evotune_workers.gates.gate import GateResult

NAME = "resources"


def judge_resources(built: WorkloadBuild, limits: Mapping[str, int]) -> GateResult:
    """Require that every limited resource is reported and within its limit; others are only recorded."""
    found = vars(built.build.resources) if built.build.resources is not None else {}
    reason = next((reason for name, limit in limits.items() if (reason := _excess(name, found.get(name), limit))), None)
    return GateResult(NAME, reason is None, reason, built.workload, figures={**found, "limits": dict(limits)})


def _excess(name: str, value: int | None, limit: int) -> str | None:
    if value is None:
        return f"{name} must be reported by the compiler to be limited, it is not"
    return None if value <= limit else f"{name} must be <= {limit}, got {value}"
