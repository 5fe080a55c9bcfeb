"""The findings about a trial beside its outcome: certification, profile and diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from evotune_db.records.build import DeviceRecord

CheckTool = Literal["memcheck", "racecheck", "synccheck", "initcheck", "repeatability", "resources"]
# In the order in which they run.
CHECK_TOOLS: tuple[CheckTool, ...] = get_args(CheckTool)


@dataclass(frozen=True)
class CheckRecord:
    """The result of one tool; it may fail with 0 `findings`, when it did not come to an end.

    `summary` is one line, `log` the tool's output.
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

    `runs` counts the runs of the kernel on equal inputs that were compared, `different_runs` those that differ in a
    bit. A certification that passed has every check, and each of them passed.
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

    Percentages are shares of the device's peak, except for two. `achieved_occupancy_pct` is a share of the warps that a
    multiprocessor can hold, and `warp_execution_efficiency_pct` of the lanes of a warp. `metrics`: every counter as the
    profiler printed it.
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

    `limit` bounds the max error; an error is None when it is not a number. `wrong` counts the values past the limit,
    `first_wrong` is the index of the first. `tile_map` marks the tiles that hold them: a character a tile, a line a row
    of tiles. `distribution` and `seed` describe the inputs. A stage that could not be compared has a `reason`.
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
