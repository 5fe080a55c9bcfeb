"""The entries of the leaderboard, as they are listed and as another search starts from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LeaderboardEntry:
    """A ranked trial; the field names are the keys of its JSON form.

    `rank` counts within one kernel, target, device and workload. `certified`: the latest certification of the build
    that was timed passed. The last two fields come from that build's latest profile at this workload; without a profile
    they are None.
    """

    rank: int
    trial: int
    kernel: str
    target: str
    device: str
    workload: str
    configuration: Mapping[str, Any]
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
class LeaderboardFilter:
    """The entries to list; None means any."""

    kernel: str | None = None
    target: str | None = None
    device: str | None = None
    workload: str | None = None
    search: int | None = None
    trial: int | None = None
    top: int | None = None


@dataclass(frozen=True)
class StartingPoint:
    """A leaderboard entry from which another search may start.

    `place` counts from 1 within one version of the kernel (`kernel_hash`), target, device and workload. `changed`
    counts the parameters that differ from the entry's, because its configuration is not valid in the new search. A
    search stores these fields by name in its options, so a renamed field would break stored searches.
    """

    trial: int
    search: int
    kernel_hash: str
    target: str
    device: str
    device_kind: str
    workload: str
    place: int
    configuration: Mapping[str, Any]
    changed: int = 0
