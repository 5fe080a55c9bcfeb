"""Results of a search: values without behaviour, for people and scripts to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evotune_db.records import LeaderboardEntry, SearchState


@dataclass(frozen=True)
class Failure:
    """A trial that a gate ended, and the reason."""

    gate: str
    trial: int
    reason: str


@dataclass(frozen=True)
class Spread:
    """One figure over all built trials: smallest, median, ninth decile and largest."""

    least: float
    median: float
    nine_in_ten: float
    most: float


@dataclass(frozen=True)
class BuildFigures:
    """Totals of a search that only builds, over all its runs.

    `without_spills` counts built trials that spill no register; `failures` counts failed ones by reason. `spreads`
    has the compiler's figures, `seconds`, and `shared_bytes` of a block at launch: the compiler's and the kernel's own.
    """

    built: int
    without_spills: int
    failures: Mapping[str, int]
    spreads: Mapping[str, Spread]


@dataclass(frozen=True)
class ReplayFigures:
    """Totals of a search of a recording. Times are the recorded ones in milliseconds; this machine measured none.

    `best_trial`, `best_ms` and `percent_of_optimum` (100 * optimum / best) are None while nothing passed.
    `to_5_percent` is the number of trials until one was within 5 % of the optimum, None where none was.
    """

    recording: str
    configurations: int
    optimum_ms: float
    best_trial: int | None
    best_ms: float | None
    percent_of_optimum: float | None
    to_5_percent: int | None
    best_configuration: Mapping[str, Any]


@dataclass(frozen=True)
class SearchResult:
    """Result of a search: `failed_by_gate` counts trials by the gate that ended them; `db` is the database's URL.

    `built` counts the configurations whose build was attempted, over all runs of the search. `reused` counts those
    whose outcome came from another search instead; `passed` and `failed_by_gate` count both. `seconds` is of this run.
    `failures` has the first trial that each gate ended. `builds` is set for a search that only builds, `replay` for one
    of a recording. `idle_share` is the share of their time for which GPUs had nothing to do.
    """

    search_id: int
    state: SearchState
    built: int
    passed: int
    failed_by_gate: Mapping[str, int]
    best: LeaderboardEntry | None
    seconds: float
    db: str
    builds: BuildFigures | None = None
    idle_share: float | None = None
    replay: ReplayFigures | None = None
    reused: int = 0
    failures: tuple[Failure, ...] = ()
