"""What a sampler knows: the configurations told, failed and pending, by their numbers in the valid set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

FAILED = math.inf
Made = TypeVar("Made")


@dataclass(frozen=True)
class Observation:
    """The outcome of one configuration; a value of FAILED for one that failed."""

    configuration: int
    value: float
    censored: bool


class Latest(Generic[Made]):
    """What was last made of the outcomes of a history: proposals of one batch differ in what is pending alone."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._made: tuple[npt.NDArray[np.int64], Made] | None = None

    def of(self, history: History, make: Callable[[], Made]) -> Made:
        """`make` must depend on no more than `told`, `measured`, `values`, `censored` and `failed`."""
        if self._made is None or self._made[0] is not history.told:
            self._made = history.told, make()
        return self._made[1]


@dataclass(frozen=True, eq=False)
class History:
    """A study so far, in the order of trial numbers.

    `told` are all configurations with an outcome, `failed` those that failed, `measured` those with `values`, of which
    `censored` marks lower bounds; `pending` are proposals without an outcome yet; `excluded` is all of these. Arrays
    are never written to: histories that differ in what is pending have the others in common.
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
        """The history of these outcomes; of a configuration told twice the last outcome counts."""
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
        """The same with these proposals under way, in the place of those before; many are made from one past."""
        told = self.excluded.difference(self.pending.tolist()) if len(self.pending) else self.excluded
        under_way = np.array(sorted(set(pending) - told), dtype=np.int64)
        return replace(self, pending=under_way, excluded=told.union(pending))

    def also_pending(self, i: int) -> History:
        """The same with one more proposal under way, which was not seen before."""
        under_way = np.insert(self.pending, np.searchsorted(self.pending, i), i)
        return replace(self, pending=under_way, excluded=self.excluded | {i})

    def unseen(self, count: int) -> npt.NDArray[np.bool_]:
        """Which of `count` configurations may still be proposed."""
        unseen = np.ones(count, dtype=bool)
        for seen in (self.told, self.pending):
            unseen[seen] = False
        return unseen
