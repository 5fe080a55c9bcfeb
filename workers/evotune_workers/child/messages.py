"""Messages between a Measurer and its child: frozen dataclasses, pickled over a socket."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.gates.gate import GateCriteria
from evotune_workers.runtimes.build_spec import BuildSpec

if TYPE_CHECKING:  # they import torch, which a process does that only starts a child
    from evotune_workers.runtimes.turns.turns import Calls, TimedInputs


@dataclass(frozen=True)
class Address:
    """A name in Linux's abstract namespace, and the key that opens it to the processes of one measurer."""

    name: str
    key: bytes

    @classmethod
    def new(cls) -> Address:
        """Return an address that nobody uses."""
        return cls(f"\0evotune-{secrets.token_hex(8)}", secrets.token_bytes(16))


@dataclass(frozen=True)
class Start:
    """First message: the kernel and the target that this child serves, and the variables that it shall have."""

    kernel_folder: Path
    target: str
    # The process that serves references there, or that asks for them there; on a GPU none does.
    serves: Address | None = None
    asks: Address | None = None
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
    distribution: str
    cache_bytes: int


@dataclass(frozen=True)
class RunBlocks:
    """Time that many ABBA blocks of these sides; answered with a tuple of Block."""

    count: int
    sides: tuple[str, ...]


@dataclass(frozen=True)
class ReviewUnseen:
    """Check what candidates gave on unseen inputs while timed; answered with a mapping of side names to Errors."""


@dataclass(frozen=True)
class OpenBaselines:
    """CPU: prepare to time the baselines; answered with OpenedSide by side, the number of sets, and what limits it."""

    inputs: TimedInputs


@dataclass(frozen=True)
class OpenCandidate:
    """CPU: prepare to time the loaded build of that side; answered with OpenedSide by side."""

    side: str
    inputs: TimedInputs


@dataclass(frozen=True)
class TakeTurn:
    """CPU: time one sample of that side; answered with Turn."""

    side: str
    calls: Calls


@dataclass(frozen=True)
class ChangeInputs:
    """CPU: give the buffer sets of these numbers unseen inputs; answered with Roll."""

    sets: frozenset[int]


@dataclass(frozen=True)
class RestoreInputs:
    """CPU: give the changed buffer sets their original inputs back."""


TurnRequest = OpenBaselines | OpenCandidate | TakeTurn | ChangeInputs | RestoreInputs
Request = (
    Start | Load | WarmUp | Prepare | RunGate | CheckStage | OpenStopwatch | RunBlocks | ReviewUnseen | TurnRequest
)


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


@dataclass(frozen=True)
class Raised:
    """The kernel's Python raised while the process of the references answered a candidate's."""

    traceback: str


Reply = Answer | Refused | Broke
