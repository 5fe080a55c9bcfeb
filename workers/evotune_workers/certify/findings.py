"""The results of certifying a build."""

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
    """The verdict of one tool; `findings` is their number, 0 with `passed` False if the tool reached no verdict.

    `summary` gives the reason in one line, `log` is the whole output of the tool and its target.
    """

    tool: Tool
    passed: bool
    findings: int
    summary: str
    log: str
    seconds: float


@dataclass(frozen=True)
class Certification:
    """The verdicts of all tools; of `runs` on equal inputs, `different_runs` gave other bits than the first."""

    runs: int
    different_runs: int
    findings: tuple[ToolFinding, ...]

    @property
    def passed(self) -> bool:
        """True if every tool was run and passed, and no run differs."""
        complete = {finding.tool for finding in self.findings} == set(TOOLS)
        equal = self.runs > 0 and self.different_runs == 0
        return complete and equal and all(finding.passed for finding in self.findings)


@dataclass(frozen=True)
class Profile:
    """Hardware counters of one launch; None where the device lacks a counter or it could not be read.

    Percentages are of the device's peak, except two: `achieved_occupancy_pct` is of the warps that a multiprocessor can
    hold, `warp_execution_efficiency_pct` of the lanes of a warp. `metrics` has unit and value of every counter as
    printed.
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
    """The reason in one line why there are no counters: users may not read them on this machine, say."""

    reason: str
