"""WorkerHealth, and what one that is odd makes suspect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, literal, or_, select, update

from evotune_db.records import CanaryRecord, SuspectRecord
from evotune_db.schema.finding_tables import diagnosis
from evotune_db.schema.health_tables import canary, suspect
from evotune_db.schema.tables import gate_result, leaderboard, timing, trial, trial_build
from evotune_db.write.content import device_id
from evotune_db.write.statements import insert_row, now

OUTCOME = ("state", "failed_gate", "reason", "objective", "finished")
NO_OUTCOME: dict[str, Any] = {
    "state": "proposed",
    **dict.fromkeys(("failed_gate", "reason", "objective", "finished", "device_id", "build_id")),
    **dict.fromkeys(("same_binary_as", "reuse_key")),
    "own_binary": True,
}


def record_canary(connection: Connection, search_id: int, record: CanaryRecord) -> int:
    """A new row; returns its id."""
    values = {name: getattr(record, name) for name in ("worker", "verdict", "reason", "seconds", "figures")}
    whose = {"search_id": search_id, "trial_id": record.trial, "device_id": device_id(connection, record.device)}
    return insert_row(connection, canary, {**values, **whose, "made": now()})


def doubt(connection: Connection, search_id: int, canary_id: int, numbers: Sequence[int]) -> None:
    """These trials of a search, and those that share their binaries there, give up their outcomes and entries.

    Their evidence stays, as that of the phase `suspect`. Trials of other searches that took the outcome over keep it
    until there is a new one, which they take (outcomes.py).
    """
    mine = (trial.c.search_id == search_id) & trial.c.state.in_(("passed", "failed"))
    named = select(trial.c.id).where(mine, trial.c.number.in_(numbers))
    found = select(trial.c.id).where(mine, or_(trial.c.id.in_(named), trial.c.same_binary_as.in_(named)))
    ids = list(connection.execute(found.with_for_update()).scalars())
    connection.execute(delete(leaderboard).where(leaderboard.c.trial_id.in_(ids)))
    given_up = select(trial.c.id, literal(canary_id), *(trial.c[name] for name in OUTCOME)).where(trial.c.id.in_(ids))
    connection.execute(insert(suspect).from_select(["trial_id", "canary_id", *OUTCOME], given_up))
    for evidence in (gate_result, timing):
        connection.execute(update(evidence).where(evidence.c.trial_id.in_(ids)).values(phase="suspect"))
    for derived in (trial_build, diagnosis):
        connection.execute(delete(derived).where(derived.c.trial_id.in_(ids)))
    connection.execute(update(trial).where(trial.c.id.in_(ids)).values(NO_OUTCOME))


def suspects_of(connection: Connection, trial_id: int) -> tuple[SuspectRecord, ...]:
    """The outcomes that a trial gave up, in their order."""
    return tuple(SuspectRecord(**row._mapping) for row in connection.execute(_suspects(trial_id)))


def _suspects(trial_id: int) -> Select[*tuple[object, ...]]:
    kept = (suspect.c[name] for name in ("state", "failed_gate", "objective", "finished"))
    query = select(*kept, canary.c.worker, canary.c.reason).join_from(suspect, canary)
    return query.where(suspect.c.trial_id == trial_id).order_by(suspect.c.id)
