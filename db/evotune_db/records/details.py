"""Everything that is recorded about one trial."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evotune_db.records.build import BuildRecord, DeviceRecord
from evotune_db.records.evidence import GateRecord, TimingRecord
from evotune_db.records.findings import CertificationRecord, DiagnosisRecord, ProfileRecord
from evotune_db.records.health import UnreliableOutcome
from evotune_db.records.leaderboard import LeaderboardEntry
from evotune_db.records.search import SearchRecord
from evotune_db.records.trial import StoredTrial


@dataclass(frozen=True)
class TrialDetails:
    """Everything recorded about one trial, each kind in the order in which it was recorded.

    `unreliable_outcomes` are the outcomes that it lost; all other fields belong to its present outcome.
    """

    trial: StoredTrial
    search: int
    record: SearchRecord
    device: DeviceRecord | None
    same_binary_as: int | None
    proposed: datetime
    finished: datetime | None
    builds: tuple[BuildRecord, ...]
    gates: tuple[GateRecord, ...]
    timings: tuple[TimingRecord, ...]
    leaderboard: tuple[LeaderboardEntry, ...]
    certifications: tuple[CertificationRecord, ...] = ()
    profiles: tuple[ProfileRecord, ...] = ()
    diagnoses: tuple[DiagnosisRecord, ...] = ()
    unreliable_outcomes: tuple[UnreliableOutcome, ...] = ()
