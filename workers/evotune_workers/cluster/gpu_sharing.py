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
class Asker:
    """A search: the GPUs that it holds and wants, when it asked last, and how many GPU seconds it has had."""

    holds: int
    wants: int
    gpus: int
    asked: float
    had: float


class Deal:
    """The shares of searches that want the same kind of GPU. Times are seconds of one clock."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._askers: dict[str, Asker] = {}
        self._dealt: dict[str, int] = {}
        self._basis: object = None
        self._since = 0.0

    def ask(self, name: str, holds: int, wants: int, gpus: int, now: float) -> int:
        """How many GPUs this search may hold, of `gpus` that the cluster has as far as it knows."""
        self._hear(name, holds, wants, gpus, now)
        there = max(asker.gpus for asker in self._askers.values())
        basis = (tuple((each, asker.wants) for each, asker in sorted(self._askers.items())), there)
        if basis != self._basis or now - self._since >= TURN_SECONDS:
            self._basis, self._since = basis, now
            self._dealt = self._deal(there, dict.fromkeys(self._askers, 0))
        return self._with_growth(there)[name]

    def leave(self, name: str) -> None:
        """The search has ended."""
        self._askers.pop(name, None)

    def _hear(self, name: str, holds: int, wants: int, gpus: int, now: float) -> None:
        self._askers = {
            each: asker for each, asker in self._askers.items() if now - asker.asked < SILENCE_SECONDS or each == name
        }
        before = self._askers.get(name)
        if before is None:
            # As if it had been here all along: else it would be given everything until it has caught up.
            had = min((asker.had for asker in self._askers.values()), default=0.0)
        else:
            had = before.had + before.holds * (now - before.asked)
        self._askers[name] = Asker(holds, wants, gpus, now, had)

    def _with_growth(self, there: int) -> dict[str, int]:
        """A search that wants more than there are says that the cluster can grow to as many. These are asked for when
        everybody has what is dealt of those that exist, so that none is waited for that another could give up.
        """
        most = max(asker.wants for asker in self._askers.values())
        waiting = any(asker.holds < self._dealt[name] for name, asker in self._askers.items())
        if most <= there or (waiting and len(self._askers) > 1):
            return self._dealt
        return self._deal(most - there, self._dealt)

    def _deal(self, left: int, before: Mapping[str, int]) -> dict[str, int]:
        dealt = dict(before)
        in_turn = sorted(self._askers, key=lambda name: (self._askers[name].had, name))
        while left > 0 and (wanting := [name for name in in_turn if dealt[name] < self._askers[name].wants]):
            for name in wanting[:left]:
                dealt[name] += 1
            left -= min(left, len(wanting))
        return dealt


class Shares:
    """The actor that all searches on a cluster ask; `kind` tells kinds of GPUs apart."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._deals: dict[str, Deal] = {}

    def ask(self, kind: str, name: str, holds: int, wants: int, gpus: int) -> int:
        """See Deal."""
        return self._deals.setdefault(kind, Deal()).ask(name, holds, wants, gpus, time.monotonic())

    def leave(self, kind: str, name: str) -> None:
        """See Deal."""
        self._deals.setdefault(kind, Deal()).leave(name)


class Share:
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
            self._actor = ray.remote(Shares).options(**options).remote()
        return self._actor.ask.remote(self._kind, self._name, holds, wants, gpus)

    def _take(self) -> None:
        try:
            self._allowed = ray.get(self._answer)
        except RayError:
            # It lives as long as the search that made it; the next who asks makes another.
            self._actor = None
