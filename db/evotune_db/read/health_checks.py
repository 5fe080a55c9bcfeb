"""Read the outcomes that a trial lost because its worker failed a health check."""

from __future__ import annotations

from sqlalchemy import Connection, select

from evotune_db.records import UnreliableOutcome
from evotune_db.schema.health_tables import canary, suspect


def unreliable_outcomes_of(connection: Connection, trial_id: int) -> tuple[UnreliableOutcome, ...]:
    """Return the outcomes that a trial lost, in the order of their loss."""
    kept = (suspect.c[name] for name in ("state", "failed_gate", "objective", "finished"))
    query = select(*kept, canary.c.worker, canary.c.reason).join_from(suspect, canary)
    rows = connection.execute(query.where(suspect.c.trial_id == trial_id).order_by(suspect.c.id))
    return tuple(UnreliableOutcome(**row._mapping) for row in rows)
