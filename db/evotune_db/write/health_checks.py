"""Record health checks, and reopen the trials that an unhealthy worker measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, literal, or_, select, update

from evotune_db.lookups import now
from evotune_db.records import HealthCheckRecord
from evotune_db.schema.finding_tables import diagnosis
from evotune_db.schema.health_tables import health_check, unreliable_trial
from evotune_db.schema.tables import gate_result, leaderboard, timing, trial, trial_build
from evotune_db.write.content import device_id
from evotune_db.write.statements import insert_row

OUTCOME = ("state", "failed_gate", "reason", "objective", "finished")
NO_OUTCOME: dict[str, Any] = {
    "state": "proposed",
    **dict.fromkeys(("failed_gate", "reason", "objective", "finished", "device_id", "build_id")),
    **dict.fromkeys(("same_binary_as", "reuse_key")),
    "own_binary": True,
}


def record_health_check(connection: Connection, search_id: int, record: HealthCheckRecord) -> int:
    """Insert a health check; return its id."""
    values = {name: getattr(record, name) for name in ("worker", "verdict", "reason", "seconds", "figures")}
    refers = {"search_id": search_id, "trial_id": record.trial, "device_id": device_id(connection, record.device)}
    return insert_row(connection, health_check, {**values, **refers, "made": now()})


def reopen_trials(connection: Connection, search_id: int, health_check_id: int, numbers: Sequence[int]) -> None:
    """Take outcomes and entries from these trials of a search, and from those that share their binaries there.

    Their evidence stays, in the phase `suspect`. Trials of other searches that reused such an outcome keep it until
    there is a new one, which write/outcomes.py copies to them.
    """
    finished = (trial.c.search_id == search_id) & trial.c.state.in_(("passed", "failed"))
    named = select(trial.c.id).where(finished, trial.c.number.in_(numbers))
    found = select(trial.c.id).where(finished, or_(trial.c.id.in_(named), trial.c.same_binary_as.in_(named)))
    ids = list(connection.execute(found.with_for_update()).scalars())
    connection.execute(delete(leaderboard).where(leaderboard.c.trial_id.in_(ids)))
    lost = select(trial.c.id, literal(health_check_id), *(trial.c[name] for name in OUTCOME)).where(trial.c.id.in_(ids))
    connection.execute(insert(unreliable_trial).from_select(["trial_id", "health_check_id", *OUTCOME], lost))
    for evidence in (gate_result, timing):
        connection.execute(update(evidence).where(evidence.c.trial_id.in_(ids)).values(phase="suspect"))
    for derived in (trial_build, diagnosis):
        connection.execute(delete(derived).where(derived.c.trial_id.in_(ids)))
    connection.execute(update(trial).where(trial.c.id.in_(ids)).values(NO_OUTCOME))
