"""What the measuring actor says to its child and what it hears: plain frozen dataclasses, pickled over a socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.gates.gate import GateCriteria
from evotune_workers.runtimes.build_spec import BenchSpec


@dataclass(frozen=True)
class Start:
    """First message: which kernel this child serves, on which target."""

    kernel_folder: Path
    target: str


@dataclass(frozen=True)
class Load:
    """Close what is loaded and load these builds, by side name."""

    specs: dict[str, BenchSpec]


@dataclass(frozen=True)
class WarmUp:
    """Make what every build of these workloads is compared with on inputs of these seeds, and run each baseline."""

    workloads: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Prepare:
    """Make ready whatever the loaded build of that side is compared with; answered with the baseline's microseconds."""

    side: str


@dataclass(frozen=True)
class RunGate:
    """Measure the gate of that name on the loaded build of that side."""

    gate: str
    side: str


@dataclass(frozen=True)
class LookAt:
    """Launch that side, which ends at that stage, on the inputs of a wrong result; answered with a StageFinding."""

    side: str
    stage: str
    wrong: WrongResult
    criteria: GateCriteria


@dataclass(frozen=True)
class OpenStopwatch:
    """Prepare to time all loaded builds beside the kernel's baselines; answered with StopwatchSetup."""

    mode: Literal["cold", "warm"]
    cache_bytes: int


@dataclass(frozen=True)
class RunBlocks:
    """Time that many ABBA blocks of these sides; answered with a tuple of Block."""

    count: int
    sides: tuple[str, ...]


@dataclass(frozen=True)
class ReviewUnseen:
    """Check what candidates gave on unseen inputs while timed; answered with a mapping of side names to Errors."""


Request = Start | Load | WarmUp | Prepare | RunGate | LookAt | OpenStopwatch | RunBlocks | ReviewUnseen


@dataclass(frozen=True)
class Answer:
    """What a request returned."""

    value: Any


@dataclass(frozen=True)
class Refused:
    """The build's own failure, met while serving: it cannot be loaded, reports a bad status, eats memory."""

    reason: str


@dataclass(frozen=True)
class Broke:
    """evotune or the kernel's Python raised: nothing that a configuration can be blamed for."""

    traceback: str


Reply = Answer | Refused | Broke
