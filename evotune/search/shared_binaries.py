"""Binaries that several configurations of a search have in common: one is measured, the others share its outcome."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from evotune.search.outcomes import build_records
from evotune_db.records import OutcomeRecord
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.contract import Configuration

# The hash of each distinct build of a configuration, in the order of its workloads.
Binary = tuple[str | None, ...]


@dataclass(frozen=True)
class RecordedTrial:
    """A trial with its outcome; `trial` is the id of the one that was measured, maybe in another search."""

    trial: int
    configuration: Configuration
    outcome: OutcomeRecord
    censored: bool


class SharedBinaries:
    """Knows which trial of a search owns a binary, and which trials wait for their owner's outcome."""

    def __init__(self) -> None:
        """Begin without binaries."""
        self._owners: dict[Binary, int] = {}
        self._waiting: dict[int, tuple[int, Candidate]] = {}

    def claim(self, candidate: Candidate) -> bool:
        """Return True if the candidate is the first with its binary; any other waits for the owner's outcome."""
        owner = self.own(_binary(candidate), candidate.number)
        if owner == candidate.number:
            return True
        self._waiting[candidate.number] = (owner, candidate)
        return False

    def own(self, binary: Binary, number: int) -> int:
        """Make a trial the owner of a binary, unless there is one; return the owner's number."""
        return self._owners.setdefault(binary, number)

    def take_ready(self, recorded: Container[int]) -> list[tuple[int, Candidate]]:
        """Remove the candidates whose owner is among the recorded trials; return each with its owner's number."""
        ready = [(owner, candidate) for owner, candidate in self._waiting.values() if owner in recorded]
        for _, candidate in ready:
            del self._waiting[candidate.number]
        return ready


def sharing_reason(candidate: Candidate, owner: RecordedTrial) -> str:
    """Say which parameters of a candidate changed nothing."""
    configuration = owner.configuration
    idle = [name for name, value in candidate.configuration.items() if configuration[name] != value]
    return f"same binary as trial {owner.trial}: {', '.join(idle)} changed nothing"


def shared_outcome(candidate: Candidate, owner: RecordedTrial) -> OutcomeRecord:
    """Return the owner's outcome without its evidence, which is kept once, with the owner."""
    same, outcome = sharing_reason(candidate, owner), owner.outcome
    reason = f"{outcome.reason} ({same})" if outcome.reason else same
    shared = replace(outcome, reason=reason, same_binary_as=owner.trial, reuse_key=None)
    return replace(shared, builds=build_records(candidate), gates=(), timings=())


def _binary(candidate: Candidate) -> Binary:
    builds = {built.build.key: built.build for built in candidate.builds}
    return tuple(build.binary_hash for build in builds.values())
