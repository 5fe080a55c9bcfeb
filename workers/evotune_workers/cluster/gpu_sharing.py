"""Sharing the GPUs of a cluster among searches.

Every search asks a named actor, again and again, for the number of GPUs that it may hold. The actor allocates GPUs one
by one, first to the search that has had the fewest GPU seconds, until no search wants more or no GPU is left. It
allocates anew when a search comes, ends or wants another number, when a GPU comes or goes, and every two minutes: with
more searches than GPUs, each gets its turn. No search takes a GPU from another. A search that holds too many gives one
up when its measurement is done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

# A turn. Giving a GPU up and starting a worker on it takes some 10 s, which is 8 % of this.
TURN_SECONDS = 120.0
# A search that has not asked for this long has ended. Searches ask about every second.
SILENCE_SECONDS = 30.0
NAME, NAMESPACE = "evotune_shares", "evotune"
# A search waits this long for its first answer; without one it goes on as the only search.
FIRST_ANSWER_SECONDS = 20.0
LEAVE_SECONDS = 2.0


@dataclass
class SearchDemand:
    """A search: the GPUs that it holds and wants, the time of its last question, and the GPU seconds it has had."""

    holds: int
    wants: int
    gpus: int
    asked: float
    had: float


class GpuAllocation:
    """Allocates GPUs of one kind to searches. Times are seconds of one clock."""

    def __init__(self) -> None:
        """Start without any search."""
        self._demands: dict[str, SearchDemand] = {}
        self._allocated: dict[str, int] = {}
        self._basis: object = None
        self._since = 0.0

    def ask(self, name: str, holds: int, wants: int, gpus: int, now: float) -> int:
        """Return the number of GPUs that this search may hold; it knows of `gpus` in the cluster."""
        self._record_demand(name, holds, wants, gpus, now)
        there = max(demand.gpus for demand in self._demands.values())
        basis = (tuple((each, demand.wants) for each, demand in sorted(self._demands.items())), there)
        if basis != self._basis or now - self._since >= TURN_SECONDS:
            self._basis, self._since = basis, now
            self._allocated = self._allocate(there, dict.fromkeys(self._demands, 0))
        return self._with_growth(there)[name]

    def leave(self, name: str) -> None:
        """Forget a search that has ended."""
        self._demands.pop(name, None)

    def _record_demand(self, name: str, holds: int, wants: int, gpus: int, now: float) -> None:
        self._demands = {
            each: demand
            for each, demand in self._demands.items()
            if now - demand.asked < SILENCE_SECONDS or each == name
        }
        before = self._demands.get(name)
        if before is None:
            # As if it had been here all along: otherwise it would get every GPU until it has caught up.
            had = min((demand.had for demand in self._demands.values()), default=0.0)
        else:
            had = before.had + before.holds * (now - before.asked)
        self._demands[name] = SearchDemand(holds, wants, gpus, now, had)

    def _with_growth(self, there: int) -> dict[str, int]:
        """Allocate GPUs that the cluster can grow to, which a search tells by wanting more than there are.

        They are allocated once every search holds its part of the existing GPUs, so that no search waits for a new GPU
        while another could give one up.
        """
        most = max(demand.wants for demand in self._demands.values())
        waiting = any(demand.holds < self._allocated[name] for name, demand in self._demands.items())
        if most <= there or (waiting and len(self._demands) > 1):
            return self._allocated
        return self._allocate(most - there, self._allocated)

    def _allocate(self, left: int, before: Mapping[str, int]) -> dict[str, int]:
        allocated = dict(before)
        in_turn = sorted(self._demands, key=lambda name: (self._demands[name].had, name))
        while left > 0 and (wanting := [name for name in in_turn if allocated[name] < self._demands[name].wants]):
            for name in wanting[:left]:
                allocated[name] += 1
            left -= min(left, len(wanting))
        return allocated


class GpuShares:
    """The actor that all searches on a cluster ask; each `kind` of GPU has an allocation of its own."""

    def __init__(self) -> None:
        """Start without any search."""
        self._allocations: dict[str, GpuAllocation] = {}

    def ask(self, kind: str, name: str, holds: int, wants: int, gpus: int) -> int:
        """Return the number of GPUs of a kind that the search may hold; see GpuAllocation.ask."""
        return self._allocations.setdefault(kind, GpuAllocation()).ask(name, holds, wants, gpus, time.monotonic())

    def leave(self, kind: str, name: str) -> None:
        """Forget a search that has ended."""
        self._allocations.setdefault(kind, GpuAllocation()).leave(name)


class GpuShare:
    """The share of one search, which asks without waiting for the answer."""

    def __init__(self, kind: str, name: str) -> None:
        """Ask nothing yet."""
        self._kind, self._name = kind, name
        self._actor: Any = None
        self._answer: Any = None
        self._allowed: int | None = None

    def allowed(self, holds: int, wants: int, gpus: int) -> int:
        """Return the number of GPUs by the latest answer, and ask anew."""
        if self._answer is None:
            self._answer = self._ask(holds, wants, gpus)
        first = self._allowed is None
        if ray.wait([self._answer], timeout=FIRST_ANSWER_SECONDS if first else 0)[0]:
            self._take()
            self._answer = self._ask(holds, wants, gpus)
        return wants if self._allowed is None else min(wants, self._allowed)

    def leave(self) -> None:
        """Tell that the search has ended; otherwise its share is free after SILENCE_SECONDS."""
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
            # The actor lives as long as the search that made it; the next search that asks makes another.
            self._actor = None
