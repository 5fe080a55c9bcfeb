"""Read the outcomes that a trial lost because its worker failed a health check."""

from __future__ import annotations

from sqlalchemy import Connection, select

from evotune_db.records import UnreliableOutcome
from evotune_db.schema.health_tables import health_check, unreliable_trial


def unreliable_outcomes_of(connection: Connection, trial_id: int) -> tuple[UnreliableOutcome, ...]:
    """Return the outcomes that a trial lost, in the order of their loss."""
    outcome = (unreliable_trial.c[name] for name in ("state", "failed_gate", "objective", "finished"))
    query = select(*outcome, health_check.c.worker, health_check.c.reason).join_from(unreliable_trial, health_check)
    rows = connection.execute(query.where(unreliable_trial.c.trial_id == trial_id).order_by(unreliable_trial.c.id))
    return tuple(UnreliableOutcome(**row._mapping) for row in rows)
