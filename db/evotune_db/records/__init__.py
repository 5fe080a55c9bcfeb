"""The values that are written to and read from the database: frozen dataclasses, without SQL and ORM objects.

The orchestrator fills them; `Database` stores and returns them. JSON-like fields hold only str, int, float, bool,
None, lists and dicts of them.
"""

from evotune_db.records.build import BuildRecord, DeviceRecord
from evotune_db.records.details import TrialDetails
from evotune_db.records.evidence import GateLike, GateRecord, OutcomeRecord, TimingLike, TimingRecord
from evotune_db.records.findings import (
    CHECK_TOOLS,
    CertificationRecord,
    CheckRecord,
    CheckTool,
    DiagnosisRecord,
    ProfileRecord,
)
from evotune_db.records.health import HealthCheckRecord, UnreliableOutcome
from evotune_db.records.leaderboard import LeaderboardEntry, LeaderboardFilter, StartingPoint
from evotune_db.records.search import (
    KernelRecord,
    SearchRecord,
    SearchState,
    SearchSummary,
    ShownState,
    SpaceRecord,
    StoredSearch,
)
from evotune_db.records.trial import FINISHED, NewTrial, OwnBinary, Reusable, StoredTrial, TrialState

__all__ = [
    "CHECK_TOOLS",
    "FINISHED",
    "BuildRecord",
    "CertificationRecord",
    "CheckRecord",
    "CheckTool",
    "DeviceRecord",
    "DiagnosisRecord",
    "GateLike",
    "GateRecord",
    "HealthCheckRecord",
    "KernelRecord",
    "LeaderboardEntry",
    "LeaderboardFilter",
    "NewTrial",
    "OutcomeRecord",
    "OwnBinary",
    "ProfileRecord",
    "Reusable",
    "SearchRecord",
    "SearchState",
    "SearchSummary",
    "ShownState",
    "SpaceRecord",
    "StartingPoint",
    "StoredSearch",
    "StoredTrial",
    "TimingLike",
    "TimingRecord",
    "TrialDetails",
    "TrialState",
    "UnreliableOutcome",
]
