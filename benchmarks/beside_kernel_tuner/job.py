"""What goes into a search of Kernel Tuner's and what comes out of it, between two processes, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evotune_workers.kernel import Configuration


@dataclass(frozen=True)
class TunerJob:
    """One search. `limits` are the device's; `time_limit`, in seconds, is for everything from the call on.

    `started`: when its process was, in seconds since the epoch.
    """

    strategy: str
    seed: int
    budget: int
    workload: str
    limits: Mapping[str, int]
    time_limit: float
    started: float


@dataclass(frozen=True)
class Evaluated:
    """A configuration, the time that its tuner claims for it, and its largest error against float64 where known."""

    configuration: Configuration
    claimed_us: float
    error: float | None = None


@dataclass(frozen=True)
class TunerResult:
    """What Kernel Tuner did in its process, in seconds.

    `start_up`: imports, inputs and reference; `other`: what the call took besides, the strategy's own work among it.
    `evaluations`: how often the strategy asked for a time; `distinct`: for how many configurations; `wrong`: those
    among them with an error above the tolerance; `failed`: those that Kernel Tuner could not launch. `ended`: the
    error that ended the search early. `ranked`: the right ones, the fastest first.
    """

    versions: Mapping[str, str]
    compilation: float
    verification: float
    benchmarking: float
    other: float
    evaluations: int
    distinct: int
    wrong: int
    ranked: tuple[Evaluated, ...]
    configurations: int = 0
    start_up: float = 0.0
    enumeration: float = 0.0
    failed: int = 0
    ended: str | None = None

    @classmethod
    def of_json(cls, written: Mapping[str, Any]) -> TunerResult:
        """From what `dataclasses.asdict` and JSON made of one."""
        return cls(**{**written, "ranked": tuple(Evaluated(**each) for each in written["ranked"])})
