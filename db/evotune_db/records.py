"""What is written to and read from the record: plain frozen dataclasses, no SQL and no ORM objects.

The orchestrator fills them; `Database` stores and returns them. JSON-like fields hold only str, int, float, bool,
None, lists and dicts of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from evotune_db.finding_records import CertificationRecord, DiagnosisRecord, ProfileRecord, SuspectRecord

TrialState = Literal["proposed", "building", "measuring", "passed", "failed", "built"]
SearchState = Literal["running", "finished", "interrupted"]
# Abandoned: recorded as running, and no process runs it; it was killed, or had lost the database.
ShownState = SearchState | Literal["abandoned"]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class KernelRecord:
    """A kernel by content: `source_hash` is over every file of its folder."""

    name: str
    source_hash: str


@dataclass(frozen=True)
class SpaceRecord:
    """A search space by content; `text` is the YAML as read."""

    name: str
    hash: str
    text: str
    valid_configurations: int


@dataclass(frozen=True)
class DeviceRecord:
    """A device: `uuid` identifies the piece of hardware, `facts` holds its limits, driver and the like."""

    uuid: str
    name: str
    kind: Literal["cpu", "cuda"]
    facts: Json


@dataclass(frozen=True)
class SearchRecord:
    """One run of a sampler over a space with a budget. `versions` holds evotune, torch, compiler, git facts."""

    kernel: KernelRecord
    space: SpaceRecord
    target: str
    workloads: tuple[str, ...]
    sampler: str
    seed: int
    budget: int
    options: Json
    versions: Json


@dataclass(frozen=True)
class NewTrial:
    """A trial as it is proposed: each number and each configuration, by its key, is there once in a search."""

    number: int
    configuration: Json
    configuration_key: str


@dataclass(frozen=True)
class BuildRecord:
    """Compiler output for one configuration. `key` is the content address; a failed build has no resources."""

    key: str
    target: str
    flags: tuple[str, ...]
    compiler: str
    seconds: float
    succeeded: bool
    log: str
    binary_hash: str | None = None
    registers: int | None = None
    spill_stores: int | None = None
    spill_loads: int | None = None
    stack_bytes: int | None = None
    shared_bytes: int | None = None
    resources: Json = field(default_factory=dict)


@dataclass(frozen=True)
class GateRecord:
    """One check of one trial: `figures` holds what was measured and what was allowed."""

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
    figures: Json = field(default_factory=dict)


@dataclass(frozen=True)
class TimingRecord:
    """One side-by-side timing of a trial at a workload against the fastest baseline.

    Times in microseconds. `speedup` = baseline / candidate, the median of per-block ratios, with its 95 % interval.
    `phase` "search" is the trial's own measurement, "confirm" the finalists' in a fresh process. A censored timing
    stopped early because the trial was already slower than the incumbent: it informs the sampler and never ranks.
    `samples`: raw times per side, a list per block. `conditions`: clocks, dropped blocks, OpenMP runtime, driver,
    limits of cold buffers and the like. `build_key` names the build that was timed.
    """

    workload: str
    phase: Literal["search", "confirm"]
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
    samples: Json
    conditions: Json


@dataclass(frozen=True)
class OutcomeRecord:
    """What a trial came to. `same_binary_as` names the trial whose identical binary was measured instead.

    `built`: compiled in a search that does no more, and never run; it has builds and their gates, and no device.
    `reuse_key`: searches that propose a configuration of the same key may take this outcome over.
    """

    state: Literal["passed", "failed", "built"]
    failed_gate: str | None = None
    reason: str | None = None
    objective: float | None = None
    same_binary_as: int | None = None
    device: DeviceRecord | None = None
    builds: tuple[BuildRecord, ...] = ()
    gates: tuple[GateRecord, ...] = ()
    timings: tuple[TimingRecord, ...] = ()
    reuse_key: str | None = None


@dataclass(frozen=True)
class StoredTrial:
    """A trial as resume and the samplers need it. `objective` is what the sampler was told; None unless passed.

    `censored`: its timing stopped early, so that the objective is only about right. `reused_from`: the trial of another
    search that was measured instead.
    """

    id: int
    number: int
    configuration: Json
    configuration_key: str
    state: TrialState
    failed_gate: str | None
    reason: str | None
    objective: float | None
    censored: bool = False
    reused_from: int | None = None


@dataclass(frozen=True)
class StoredSearch:
    """A search as resume needs it."""

    id: int
    record: SearchRecord
    state: ShownState
    trials: tuple[StoredTrial, ...]


@dataclass(frozen=True)
class OwnBinary:
    """A trial that went beyond its builds with binaries that no other trial had before: their hashes, and its outcome.

    The outcome is without its evidence. Of an outcome that was taken over, `trial` is the one that was measured.
    """

    trial: int
    number: int
    configuration: Json
    hashes: tuple[str, ...]
    censored: bool
    outcome: OutcomeRecord


@dataclass(frozen=True)
class Reusable:
    """A measured trial whose outcome may be taken over, and the hashes of its binaries.

    Of its evidence the outcome has the cold timings of the trial's own measurement, without samples and conditions.
    """

    trial: int
    hashes: tuple[str, ...]
    censored: bool
    outcome: OutcomeRecord


@dataclass(frozen=True)
class SearchSummary:
    """A row of `evotune searches`. `best_speedup` and `best_trial` come from the leaderboard,
    `best_objective` from all trials: the least that the sampler was told.

    `built` counts the trials with an outcome: passed, failed, and those that are built and never run.
    """

    id: int
    kernel: str
    target: str
    workloads: tuple[str, ...]
    sampler: str
    seed: int
    budget: int
    state: ShownState
    started: datetime
    finished: datetime | None
    built: int
    passed: int
    failed: int
    best_trial: int | None
    best_speedup: float | None
    best_objective: float | None = None


@dataclass(frozen=True)
class LeaderboardEntry:
    """A ranked trial; the field names are the keys of its JSON form.

    `rank` counts within one kernel, target, device and workload. `certified`: the latest certification of the build
    that was timed passed. The last two are of that build's latest profile at this workload, None without one.
    """

    rank: int
    trial: int
    kernel: str
    target: str
    device: str
    workload: str
    configuration: Json
    median_us: float
    speedup: float
    speedup_low: float
    speedup_high: float
    baseline: str
    baseline_us: float
    confirmed: bool
    certified: bool
    tensor_active_pct: float | None = None
    achieved_occupancy_pct: float | None = None


@dataclass(frozen=True)
class Precedent:
    """A leaderboard entry that another search may begin with.

    `place` counts from 1 within one version of the kernel (`kernel_hash`), target, device and workload. `changed`: how
    many parameters have another value than the entry's, which was not valid where the search runs.
    """

    trial: int
    search: int
    kernel_hash: str
    target: str
    device: str
    device_kind: str
    workload: str
    place: int
    configuration: Json
    changed: int = 0


@dataclass(frozen=True)
class LeaderboardFilter:
    """Which entries to list; None means any."""

    kernel: str | None = None
    target: str | None = None
    device: str | None = None
    workload: str | None = None
    search: int | None = None
    trial: int | None = None
    top: int | None = None


@dataclass(frozen=True)
class TrialDetails:
    """Everything recorded of one trial, each kind in the order in which it was recorded.

    `suspects` are outcomes that it gave up; the rest is of the one that it has.
    """

    trial: StoredTrial
    search: int
    record: SearchRecord
    device: DeviceRecord | None
    same_binary_as: int | None
    proposed: datetime
    finished: datetime | None
    builds: tuple[BuildRecord, ...]
    gates: tuple[GateRecord, ...]
    timings: tuple[TimingRecord, ...]
    leaderboard: tuple[LeaderboardEntry, ...]
    certifications: tuple[CertificationRecord, ...] = ()
    profiles: tuple[ProfileRecord, ...] = ()
    diagnoses: tuple[DiagnosisRecord, ...] = ()
    suspects: tuple[SuspectRecord, ...] = ()
