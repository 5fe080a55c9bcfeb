"""Searches on one cluster share its GPUs: how many each may hold now.

Every search asks again and again, by an actor that all of them know by its name. GPUs are dealt out in turn, first to
who has had least of them, until nobody wants more or none is left. They are dealt anew when a search comes, ends or
wants another number, when a GPU comes or goes, and every two minutes, so that with more searches than GPUs each gets
its turn. Nobody takes a GPU from anybody: who holds more than it may gives one up when its measurement is done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

# A turn. Giving a GPU up and starting a worker on it takes some 10 s, of which this makes 8 %.
TURN_SECONDS = 120.0
# A search that has not asked for so long has ended. Searches ask every second or so.
SILENCE_SECONDS = 30.0
NAME, NAMESPACE = "evotune_shares", "evotune"
# The first answer is waited for; where none comes the search goes on as if it were alone.
FIRST_ANSWER_SECONDS = 20.0
LEAVE_SECONDS = 2.0


@dataclass
class SearchDemand:
    """A search: the GPUs that it holds and wants, when it asked last, and how many GPU seconds it has had."""

    holds: int
    wants: int
    gpus: int
    asked: float
    had: float


class GpuAllocation:
    """The shares of searches that want the same kind of GPU. Times are seconds of one clock."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._demands: dict[str, SearchDemand] = {}
        self._dealt: dict[str, int] = {}
        self._basis: object = None
        self._since = 0.0

    def ask(self, name: str, holds: int, wants: int, gpus: int, now: float) -> int:
        """How many GPUs this search may hold, of `gpus` that the cluster has as far as it knows."""
        self._hear(name, holds, wants, gpus, now)
        there = max(demand.gpus for demand in self._demands.values())
        basis = (tuple((each, demand.wants) for each, demand in sorted(self._demands.items())), there)
        if basis != self._basis or now - self._since >= TURN_SECONDS:
            self._basis, self._since = basis, now
            self._dealt = self._deal(there, dict.fromkeys(self._demands, 0))
        return self._with_growth(there)[name]

    def leave(self, name: str) -> None:
        """The search has ended."""
        self._demands.pop(name, None)

    def _hear(self, name: str, holds: int, wants: int, gpus: int, now: float) -> None:
        self._demands = {
            each: demand
            for each, demand in self._demands.items()
            if now - demand.asked < SILENCE_SECONDS or each == name
        }
        before = self._demands.get(name)
        if before is None:
            # As if it had been here all along: else it would be given everything until it has caught up.
            had = min((demand.had for demand in self._demands.values()), default=0.0)
        else:
            had = before.had + before.holds * (now - before.asked)
        self._demands[name] = SearchDemand(holds, wants, gpus, now, had)

    def _with_growth(self, there: int) -> dict[str, int]:
        """A search that wants more than there are says that the cluster can grow to as many. These are asked for when
        everybody has what is dealt of those that exist, so that none is waited for that another could give up.
        """
        most = max(demand.wants for demand in self._demands.values())
        waiting = any(demand.holds < self._dealt[name] for name, demand in self._demands.items())
        if most <= there or (waiting and len(self._demands) > 1):
            return self._dealt
        return self._deal(most - there, self._dealt)

    def _deal(self, left: int, before: Mapping[str, int]) -> dict[str, int]:
        dealt = dict(before)
        in_turn = sorted(self._demands, key=lambda name: (self._demands[name].had, name))
        while left > 0 and (wanting := [name for name in in_turn if dealt[name] < self._demands[name].wants]):
            for name in wanting[:left]:
                dealt[name] += 1
            left -= min(left, len(wanting))
        return dealt


class GpuShares:
    """The actor that all searches on a cluster ask; `kind` tells kinds of GPUs apart."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._allocations: dict[str, GpuAllocation] = {}

    def ask(self, kind: str, name: str, holds: int, wants: int, gpus: int) -> int:
        """See GpuAllocation."""
        return self._allocations.setdefault(kind, GpuAllocation()).ask(name, holds, wants, gpus, time.monotonic())

    def leave(self, kind: str, name: str) -> None:
        """See GpuAllocation."""
        self._allocations.setdefault(kind, GpuAllocation()).leave(name)


class GpuShare:
    """One search's: asks without waiting for the answer."""

    def __init__(self, kind: str, name: str) -> None:
        """Asks nothing yet."""
        self._kind, self._name = kind, name
        self._actor: Any = None
        self._answer: Any = None
        self._allowed: int | None = None

    def allowed(self, holds: int, wants: int, gpus: int) -> int:
        """By the latest answer; asks anew."""
        if self._answer is None:
            self._answer = self._ask(holds, wants, gpus)
        first = self._allowed is None
        if ray.wait([self._answer], timeout=FIRST_ANSWER_SECONDS if first else 0)[0]:
            self._take()
            self._answer = self._ask(holds, wants, gpus)
        return wants if self._allowed is None else min(wants, self._allowed)

    def leave(self) -> None:
        """Tells that the search has ended; else its share is free when it has been silent for long."""
        if self._actor is not None:
            ray.wait([self._actor.leave.remote(self._kind, self._name)], timeout=LEAVE_SECONDS)

    def _ask(self, holds: int, wants: int, gpus: int) -> Any:
        if self._actor is None:
            options = {"name": NAME, "namespace": NAMESPACE, "get_if_exists": True, "num_cpus": 0, "max_restarts": -1}
            self._actor = ray.remote(GpuShares).options(**options).remote()
        return self._actor.ask.remote(self._kind, self._name, holds, wants, gpus)

    def _take(self) -> None:
        try:
            self._allowed = ray.get(self._answer)
        except RayError:
            # It lives as long as the search that made it; the next who asks makes another.
            self._actor = None
