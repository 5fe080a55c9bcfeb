"""What certifying a build comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Sanitizer = Literal["memcheck", "racecheck", "synccheck", "initcheck"]
Tool = Literal["memcheck", "racecheck", "synccheck", "initcheck", "repeatability", "resources"]
SANITIZERS: tuple[Sanitizer, ...] = ("memcheck", "racecheck", "synccheck", "initcheck")
TOOLS: tuple[Tool, ...] = (*SANITIZERS, "repeatability", "resources")


@dataclass(frozen=True)
class ToolFinding:
    """What one tool found: `findings` counts them, 0 beside `passed = False` when it came to no verdict.

    `summary` is one line that says why, `log` all that the tool and its target wrote.
    """

    tool: Tool
    passed: bool
    findings: int
    summary: str
    log: str
    seconds: float


@dataclass(frozen=True)
class Certification:
    """What all tools found; `runs` of the kernel on equal inputs were compared, `different_runs` differ in a bit."""

    runs: int
    different_runs: int
    findings: tuple[ToolFinding, ...]

    @property
    def passed(self) -> bool:
        """Whether every tool was run and passed, and no run differs."""
        complete = {finding.tool for finding in self.findings} == set(TOOLS)
        equal = self.runs > 0 and self.different_runs == 0
        return complete and equal and all(finding.passed for finding in self.findings)


@dataclass(frozen=True)
class Profile:
    """Hardware counters of one launch; None where this device does not have one or it could not be read.

    Percentages are of the device's peak, `achieved_occupancy_pct` of the warps that a multiprocessor can hold and
    `warp_execution_efficiency_pct` of the lanes of a warp. `metrics`: unit and value of every counter as printed.
    """

    duration_us: float | None
    tensor_active_pct: float | None
    warp_execution_efficiency_pct: float | None
    dram_throughput_pct: float | None
    l2_throughput_pct: float | None
    achieved_occupancy_pct: float | None
    registers: int | None
    metrics: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class NoProfile:
    """Why there are no counters, in one line: the machine does not let its users read them, say."""

    reason: str
