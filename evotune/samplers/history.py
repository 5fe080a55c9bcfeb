"""The history that a sampler learns from: configurations that were measured, failed or are pending, by index."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

FAILED = math.inf
T = TypeVar("T")


@dataclass(frozen=True)
class Observation:
    """The outcome of one configuration; its value is FAILED if it failed."""

    configuration: int
    value: float
    censored: bool


class HistoryCache(Generic[T]):
    """A cache for one value that is computed from the outcomes of a history.

    The proposals of one batch share their outcomes and differ only in the pending configurations.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._cached: tuple[npt.NDArray[np.int64], T] | None = None

    def get(self, history: History, compute: Callable[[], T]) -> T:
        """Return the cached value, computed again if the outcomes have changed.

        `compute` may use `told`, `measured`, `values`, `censored` and `failed` of the history, but not `pending`.
        """
        if self._cached is None or self._cached[0] is not history.told:
            self._cached = history.told, compute()
        return self._cached[1]


@dataclass(frozen=True, eq=False)
class History:
    """A study so far, in the order of trial numbers; configurations are given by their index in the valid set.

    `told`: all configurations with an outcome. `failed`: those that failed. `measured`: those with `values`, where
    `censored` marks lower bounds. `pending`: proposals without an outcome yet. `excluded`: all of these together.
    Arrays are never modified, so histories with different pending configurations can share the rest.
    """

    told: npt.NDArray[np.int64]
    measured: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    censored: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.int64]
    pending: npt.NDArray[np.int64]
    excluded: frozenset[int]

    @classmethod
    def of(cls, told: Sequence[Observation], pending: Sequence[int]) -> History:
        """Create a history from outcomes; if a configuration has several, the last one counts."""
        latest = {outcome.configuration: outcome for outcome in told}
        passed = [outcome for outcome in latest.values() if outcome.value != FAILED]
        return cls(
            told=np.array(list(latest), dtype=np.int64),
            measured=np.array([outcome.configuration for outcome in passed], dtype=np.int64),
            values=np.array([outcome.value for outcome in passed]),
            censored=np.array([outcome.censored for outcome in passed], dtype=bool),
            failed=np.array([i for i, outcome in latest.items() if outcome.value == FAILED], dtype=np.int64),
            pending=np.array([], dtype=np.int64),
            excluded=frozenset(latest),
        ).with_pending(pending)

    def with_pending(self, pending: Sequence[int]) -> History:
        """Return the same history with these pending configurations in place of the previous ones."""
        told = self.excluded.difference(self.pending.tolist()) if len(self.pending) else self.excluded
        without_outcome = np.array(sorted(set(pending) - told), dtype=np.int64)
        return replace(self, pending=without_outcome, excluded=told.union(pending))

    def also_pending(self, i: int) -> History:
        """Return the same history with one more pending configuration, which must be unseen."""
        pending = np.insert(self.pending, np.searchsorted(self.pending, i), i)
        return replace(self, pending=pending, excluded=self.excluded | {i})

    def unseen(self, count: int) -> npt.NDArray[np.bool_]:
        """Return a mask, True for each of `count` configurations that may still be proposed."""
        unseen = np.ones(count, dtype=bool)
        for seen in (self.told, self.pending):
            unseen[seen] = False
        return unseen
