"""The health of a search's workers, and the outcomes that an unhealthy worker made unreliable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from evotune_db.records.build import DeviceRecord


@dataclass(frozen=True)
class HealthCheckRecord:
    """A health check: one configuration of a search, measured again by one worker.

    `trial` is the trial of that configuration. `figures` are by workload: times in microseconds, and the speed-up over
    the baseline with its interval; they are empty where the check failed. `reason` says what is wrong unless the
    verdict is good.
    """

    trial: int
    worker: str
    device: DeviceRecord
    verdict: Literal["good", "odd", "quarantined"]
    reason: str | None
    seconds: float
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class UnreliableOutcome:
    """An outcome that a trial lost, because its worker failed a health check for this `reason`."""

    state: Literal["passed", "failed"]
    failed_gate: str | None
    objective: float | None
    finished: datetime
    worker: str
    reason: str
