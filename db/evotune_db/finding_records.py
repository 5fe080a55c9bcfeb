"""What is found out about a trial beside its outcome: plain frozen dataclasses, as in records.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from evotune_db.records import DeviceRecord

CheckTool = Literal["memcheck", "racecheck", "synccheck", "initcheck", "repeatability", "resources"]
# In the order in which they run.
CHECK_TOOLS: tuple[CheckTool, ...] = get_args(CheckTool)


@dataclass(frozen=True)
class CheckRecord:
    """What one tool found: `findings` counts them, 0 beside `passed = False` when the tool did not come to an end.

    `summary` is one line, `log` what the tool wrote.
    """

    tool: CheckTool
    passed: bool
    findings: int
    summary: str
    log: str
    seconds: float


@dataclass(frozen=True)
class CertificationRecord:
    """All checks of one build of a trial on one device, at the timezone-aware moment `made`.

    `runs` of the kernel on equal inputs were compared, `different_runs` of them differ in a bit. One that passed has
    every check, all of them passed.
    """

    build_key: str
    device: DeviceRecord
    made: datetime
    passed: bool
    runs: int
    different_runs: int
    checks: tuple[CheckRecord, ...]


@dataclass(frozen=True)
class ProfileRecord:
    """Hardware counters of one launch of a build at a workload; None where a counter could not be read.

    Percentages are of the device's peak, `achieved_occupancy_pct` of the warps that a multiprocessor can hold and
    `warp_execution_efficiency_pct` of the lanes of a warp. `metrics`: every counter as the profiler printed it.
    """

    build_key: str
    device: DeviceRecord
    workload: str
    made: datetime
    duration_us: float | None = None
    tensor_active_pct: float | None = None
    warp_execution_efficiency_pct: float | None = None
    dram_throughput_pct: float | None = None
    l2_throughput_pct: float | None = None
    achieved_occupancy_pct: float | None = None
    registers: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DiagnosisRecord:
    """One stage of a kernel that fails, compared with the reference at a workload; in the order of computing.

    `limit` is what its max error may be; an error is None when it is not a number. `wrong` counts the values past the
    limit, `first_wrong` is the index of the first. `tile_map` says in which tiles: a character a tile, a line a row
    of tiles. `distribution` and `seed` are those of the inputs. A stage that could not be compared has a `reason`.
    """

    workload: str
    stage: str
    passed: bool
    max_error: float | None
    rms_error: float | None
    limit: float | None
    wrong: int
    first_wrong: tuple[int, ...] | None
    tile_map: str
    distribution: str | None = None
    seed: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CanaryRecord:
    """A search's canary as one worker measured it. `trial` is whose configuration it is.

    `figures` are by workload: times in microseconds and the speed-up over the baseline with its interval; none where it
    failed. `reason` says what is wrong with it unless it is good.
    """

    trial: int
    worker: str
    device: DeviceRecord
    verdict: Literal["good", "odd", "quarantined"]
    reason: str | None
    seconds: float
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class SuspectRecord:
    """An outcome that a trial had and gave up, since its worker's canary was odd for this `reason`."""

    state: Literal["passed", "failed"]
    failed_gate: str | None
    objective: float | None
    finished: datetime
    worker: str
    reason: str
