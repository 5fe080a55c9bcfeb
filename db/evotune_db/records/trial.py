"""A trial: as it is proposed, as it is stored, and as much of its outcome as other trials may share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evotune_db.records.evidence import OutcomeRecord

TrialState = Literal["proposed", "building", "measuring", "passed", "failed", "built"]
# The states of a trial that has its outcome.
FINISHED: tuple[TrialState, ...] = ("passed", "failed", "built")


@dataclass(frozen=True)
class NewTrial:
    """A trial as it is proposed; a search takes each number and each configuration key once."""

    number: int
    configuration: Mapping[str, Any]
    configuration_key: str


@dataclass(frozen=True)
class StoredTrial:
    """A trial as resume and the samplers need it.

    `objective` is the value that the sampler was told, None unless the trial passed. `censored`: its timing stopped
    early, so that the objective is approximate. `reused_from`: the trial of another search that was measured instead.
    """

    id: int
    number: int
    configuration: Mapping[str, Any]
    configuration_key: str
    state: TrialState
    failed_gate: str | None
    reason: str | None
    objective: float | None
    censored: bool = False
    reused_from: int | None = None


@dataclass(frozen=True)
class OwnBinary:
    """A trial that went beyond its builds, with binaries that no other trial had before: their hashes, its outcome.

    The outcome comes without its evidence. Where the outcome was reused, `trial` is the trial that was measured.
    """

    trial: int
    number: int
    configuration: Mapping[str, Any]
    hashes: tuple[str, ...]
    censored: bool
    outcome: OutcomeRecord


@dataclass(frozen=True)
class Reusable:
    """A measured trial whose outcome another search may reuse, and the hashes of its binaries.

    The outcome's only evidence is the cold timings of the trial's own measurement, without samples and conditions.
    """

    trial: int
    hashes: tuple[str, ...]
    censored: bool
    outcome: OutcomeRecord
