"""Choose the fewest configurations that serve many workloads, each within a limit of the workload's best."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evotune.export.evidence import ExportError
from evotune.space import configuration_key
from evotune_db.records import LeaderboardEntry

# Trying this many sets takes a few seconds. Beyond, a greedy choice is used, which may need one configuration more.
MOST_SETS = 300_000


@dataclass(frozen=True)
class Choice:
    """The entry that serves a workload, and the fastest one on record; `by_sdpa`: none beats the fastest SDPA."""

    entry: LeaderboardEntry
    best: LeaderboardEntry
    by_sdpa: bool


@dataclass(frozen=True)
class _Candidate:
    """A configuration with its loss at each workload that it covers."""

    key: str
    losses: Mapping[str, float]


def choose_portfolio(entries: Sequence[LeaderboardEntry], within: float) -> tuple[Choice, ...]:
    """Choose an entry for each workload, in the order of `entries`, with as few configurations as possible.

    A configuration covers a workload if its loss there is at most `within` (0.03 = 3 %). Among the smallest covering
    sets, the one with the least total loss is chosen. Each workload is served by the member with the least loss there;
    if there are several, by the one that covers most workloads. Raises ExportError if there are no entries, or if they
    have more than one kernel, target or device.
    """
    _check_alike(entries)
    measured = _measured(entries)
    best = _best(measured.values())
    beaten = {workload for workload, entry in best.items() if entry.speedup < 1.0}
    candidates = _candidates([entry for entry in measured.values() if entry.workload not in beaten], best, within)
    wanted = [workload for workload in best if workload not in beaten]
    members = _smallest(candidates, wanted)
    choices = []
    for workload, entry in best.items():
        if workload in beaten:
            choices.append(Choice(entry, entry, by_sdpa=True))
        else:
            choices.append(Choice(measured[workload, _member(members, workload)], entry, by_sdpa=False))
    return tuple(choices)


def loss(entry: LeaderboardEntry, best: LeaderboardEntry) -> float:
    """Return the loss of an entry against the best one, by speed-up: 0.02 if it takes 2 % longer; never below 0."""
    return max(0.0, best.speedup / entry.speedup - 1.0)


def _check_alike(entries: Sequence[LeaderboardEntry]) -> None:
    if not entries:
        raise ExportError("a portfolio must have trials on the leaderboard, got none; search first")
    for name in ("kernel", "target", "device"):
        found = sorted({str(getattr(entry, name)) for entry in entries})
        if len(found) > 1:
            raise ExportError(f"a portfolio must have one {name}, got {', '.join(found)}; choose one with --{name}")


def _measured(entries: Sequence[LeaderboardEntry]) -> dict[tuple[str, str], LeaderboardEntry]:
    """Return the entries by workload and configuration key, those of each workload by rank.

    If a configuration was measured twice, the first entry counts. A confirmed one comes first, even if another one was
    faster, because it is the one to export.
    """
    places = {workload: place for place, workload in enumerate(dict.fromkeys(entry.workload for entry in entries))}
    measured: dict[tuple[str, str], LeaderboardEntry] = {}
    for entry in sorted(entries, key=lambda entry: (places[entry.workload], entry.rank)):
        measured.setdefault((entry.workload, configuration_key(entry.configuration)), entry)
    return measured


def _best(ranked: Iterable[LeaderboardEntry]) -> dict[str, LeaderboardEntry]:
    """Return the first entry of each workload: the fastest confirmed one, or the fastest if none is confirmed."""
    best: dict[str, LeaderboardEntry] = {}
    for entry in ranked:
        best.setdefault(entry.workload, entry)
    return best


def _candidates(
    entries: Sequence[LeaderboardEntry], best: Mapping[str, LeaderboardEntry], within: float
) -> list[_Candidate]:
    """Return the configurations that cover a workload, except those that another one dominates."""
    losses: dict[str, dict[str, float]] = {}
    for entry in entries:
        lost = loss(entry, best[entry.workload])
        if lost <= within:
            losses.setdefault(configuration_key(entry.configuration), {})[entry.workload] = lost
    candidates = sorted((_Candidate(key, each) for key, each in losses.items()), key=lambda each: -len(each.losses))
    kept: list[_Candidate] = []
    for candidate in candidates:
        if not any(_at_least_as_good(other, candidate) for other in kept):
            kept.append(candidate)
    return kept


def _at_least_as_good(one: _Candidate, other: _Candidate) -> bool:
    return all(one.losses.get(workload, math.inf) <= lost for workload, lost in other.losses.items())


def _smallest(candidates: Sequence[_Candidate], wanted: Sequence[str]) -> tuple[_Candidate, ...]:
    """Return the smallest covering set, by trying all sets of one, two and so on.

    One exists, because the best entry of a workload covers it.
    """
    for size in range(len(wanted) + 1):
        if math.comb(len(candidates), size) > MOST_SETS:
            return _greedy(candidates, wanted)
        covering = [each for each in itertools.combinations(candidates, size) if _covers(each, wanted)]
        if covering:
            return min(covering, key=lambda members: sum(_least_loss(members, workload) for workload in wanted))
    raise AssertionError("the best entry of a workload covers it")


def _greedy(candidates: Sequence[_Candidate], wanted: Sequence[str]) -> tuple[_Candidate, ...]:
    """Add the configuration that covers most of the remaining workloads until all are covered."""
    members: list[_Candidate] = []
    left = set(wanted)
    while left:
        members.append(max(candidates, key=lambda each: len(left & each.losses.keys())))
        left -= members[-1].losses.keys()
    return tuple(members)


def _covers(members: Sequence[_Candidate], wanted: Sequence[str]) -> bool:
    return all(any(workload in member.losses for member in members) for workload in wanted)


def _least_loss(members: Sequence[_Candidate], workload: str) -> float:
    return min(member.losses.get(workload, math.inf) for member in members)


def _member(members: Sequence[_Candidate], workload: str) -> str:
    return min(members, key=lambda each: (each.losses.get(workload, math.inf), -len(each.losses))).key
