"""The evidence of a trial: its gates, its timings, and the outcome that they led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from evotune_db.records.build import BuildRecord, DeviceRecord


# A worker's result is written as it is: a class of another package needs these fields and no base class. As frozen
# dataclasses the protocols have read-only fields, and the records that are read back inherit them.
@dataclass(frozen=True)
class GateLike(Protocol):
    """One check of one trial: `figures` holds the measured values and their limits."""

    gate: str
    passed: bool
    reason: str | None = None
    workload: str | None = None
    distribution: str | None = None
    seed: int | None = None
    max_error: float | None = None
    max_limit: float | None = None
    rms_error: float | None = None
    rms_limit: float | None = None
    seconds: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GateRecord(GateLike):
    """A check as it is read back."""


@dataclass(frozen=True)
class TimingLike(Protocol):
    """One side-by-side timing of a trial at a workload against the fastest baseline.

    Times in microseconds. `speedup` = baseline / candidate, the median of per-block ratios, with its 95 % interval. A
    censored timing stopped early because the trial was already slower than the incumbent: it informs the sampler and
    never ranks. `samples`: raw times per side, a list per block. `conditions`: clocks, dropped blocks, OpenMP runtime,
    driver, limits of cold buffers and the like. `build_key` names the build that was timed.
    """

    workload: str
    mode: Literal["cold", "warm"]
    build_key: str
    baseline: str
    median_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    baseline_us: float
    speedup: float
    speedup_low: float
    speedup_high: float
    blocks: int
    dropped_blocks: int
    censored: bool
    samples: Mapping[str, Any]
    conditions: Mapping[str, Any]


@dataclass(frozen=True)
class TimingRecord(TimingLike):
    """A timing as it is read back.

    `phase` "search" is the trial's own measurement, "confirm" a finalist's in a fresh process.
    """

    phase: Literal["search", "confirm"]


@dataclass(frozen=True)
class OutcomeRecord:
    """The outcome of a trial. `same_binary_as` names the trial whose identical binary was measured instead.

    `built`: compiled in a search that does no more, and never run; it has builds and their gates, and no device.
    `reuse_key`: searches that propose a configuration of the same key may reuse this outcome.
    """

    state: Literal["passed", "failed", "built"]
    failed_gate: str | None = None
    reason: str | None = None
    objective: float | None = None
    same_binary_as: int | None = None
    device: DeviceRecord | None = None
    builds: tuple[BuildRecord, ...] = ()
    gates: tuple[GateLike, ...] = ()
    timings: tuple[TimingLike, ...] = ()
    reuse_key: str | None = None
