"""What goes into a search and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evotune.replay.figures import ReplayFigures
    from evotune.search.build_only import BuildFigures
    from evotune_db.records import LeaderboardEntry, SearchState

DEFAULT_KERNEL = "attention_fwd"
DEFAULT_TARGET = "auto"
DEFAULT_BUDGET = 200
DEFAULT_SAMPLER = "evolution"
# The samplers that need no timings, the default of --build-only first.
BUILD_ONLY_SAMPLERS = ("random", "qmc")
DEFAULT_SEED = 0
# What stands in the record for the target, the workload and the gate of a trial that was looked up and not run.
RECORDED = "recorded"


@dataclass(frozen=True)
class SearchRequest:
    """What `evotune search` was asked for.

    `kernel` is a built-in name or a folder; `space` a built-in name or a YAML file, None for the target's own; no
    `workloads` means the kernel's first. `time_limit` is in seconds. `sampler` None is the default. `build_only`:
    nothing is measured. `replay`: the file of a recording, which is searched instead of a kernel. `warm_start`: the
    first trials are the best of the nearest searches. `gpus`: so many measure, None for all that there are. `reuse`:
    what another search has measured under the same conditions is not measured again. With `resume`, the id of a stored
    search, the kernel and the budget may be None: as they were. Its other settings stay as they were, and hold their
    defaults here.
    """

    db: str
    kernel: str | None = DEFAULT_KERNEL
    space: str | None = None
    target: str = DEFAULT_TARGET
    workloads: tuple[str, ...] = ()
    budget: int | None = DEFAULT_BUDGET
    time_limit: float | None = None
    sampler: str | None = None
    seed: int = DEFAULT_SEED
    ray_address: str | None = None
    gpus: int | None = None
    resume: int | None = None
    build_only: bool = False
    replay: str | None = None
    warm_start: bool = False
    reuse: bool = True


# The sampler of a search that others ran: there is no space of it here, and nothing to go on with.
IMPORTED = "imported"


@dataclass(frozen=True)
class Failure:
    """A trial that a gate ended, and why."""

    gate: str
    trial: int
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """What a search came to: `failed_by_gate` counts trials by the gate that ended them; `db` is the database's URL.

    `built` counts the configurations whose build was attempted, over all runs of the search, `reused` those whose
    outcome was taken over from another search instead; `passed` and `failed_by_gate` count both. `seconds` is of this
    run. `failures` has the first trial that each gate ended.
    `builds` is what a search that only builds came to, `idle_share` how much of their time GPUs had nothing to do,
    `replay` what a search of a recording came to.
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
