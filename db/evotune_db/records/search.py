"""A search: what it runs on, as it is stored, and its row in the list of searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from evotune_db.records.trial import StoredTrial

SearchState = Literal["running", "finished", "interrupted"]
# Abandoned: recorded as running, and no process runs it; it was killed, or had lost the database.
ShownState = SearchState | Literal["abandoned"]


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
class SearchRecord:
    """One run of a sampler over a space with a budget; `versions` names evotune, torch, the compiler and the commit."""

    kernel: KernelRecord
    space: SpaceRecord
    target: str
    workloads: tuple[str, ...]
    sampler: str
    seed: int
    budget: int
    options: Mapping[str, Any]
    versions: Mapping[str, Any]


@dataclass(frozen=True)
class StoredSearch:
    """A search as resume needs it."""

    id: int
    record: SearchRecord
    state: ShownState
    trials: tuple[StoredTrial, ...]


@dataclass(frozen=True)
class SearchSummary:
    """A row of `evotune searches`.

    `best_speedup` and `best_trial` come from the leaderboard, `best_objective` from all trials: the least that the
    sampler was told. `built` counts the trials with an outcome: passed, failed, and those built and never run.
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
