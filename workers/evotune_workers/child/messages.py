"""Messages between a Measurer and its child: frozen dataclasses, pickled over a socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.gates.gate import GateCriteria
from evotune_workers.runtimes.build_spec import BuildSpec


@dataclass(frozen=True)
class Start:
    """First message: the kernel and the target that this child serves, and the variables that it shall have."""

    kernel_folder: Path
    target: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """Unload all builds and load these, by side name."""

    specs: dict[str, BuildSpec]


@dataclass(frozen=True)
class WarmUp:
    """Compute the references of these workloads on inputs of these seeds, and run each baseline."""

    workloads: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Prepare:
    """Compute the first reference for the loaded build of that side; answered with the baseline's microseconds."""

    side: str


@dataclass(frozen=True)
class RunGate:
    """Measure the gate of that name on the loaded build of that side."""

    gate: str
    side: str


@dataclass(frozen=True)
class CheckStage:
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


Request = Start | Load | WarmUp | Prepare | RunGate | CheckStage | OpenStopwatch | RunBlocks | ReviewUnseen


@dataclass(frozen=True)
class Answer:
    """The result of a request."""

    value: Any


@dataclass(frozen=True)
class Refused:
    """A failure of the build: it cannot be loaded, reports a bad status, or takes all memory."""

    reason: str


@dataclass(frozen=True)
class Broke:
    """An error in evotune or in the kernel's Python, for which no configuration is at fault."""

    traceback: str


Reply = Answer | Refused | Broke
