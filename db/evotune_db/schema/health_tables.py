"""The tables of the health of workers; a part of the schema, see tables.py.

In a health check a worker measures one configuration of the search again. When a check fails, all that its worker
measured since its last good check is unreliable. Those trials lose their outcomes, which are kept here, and are
measured again. Their evidence gets the phase `suspect` in gate_result and timing.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Connection, Double, ForeignKey, Index, MetaData, Table, Text, event

from evotune_db.schema.column_types import ForeignText, Id, Json, UtcDateTime
from evotune_db.schema.metadata import metadata

# `odd`: the worker has to pass a check in a fresh process; `quarantined`: it did not pass, and gets no more work.
health_check = Table(
    "health_check",
    metadata,
    Column("id", Id, primary_key=True),
    Column("search_id", Id, ForeignKey("search.id"), nullable=False),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("device_id", Id, ForeignKey("device.id"), nullable=False),
    Column("worker", Text, nullable=False),
    Column("made", UtcDateTime, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", ForeignText),
    Column("seconds", Double, nullable=False),
    Column("figures", Json, nullable=False),
    CheckConstraint("verdict IN ('good', 'odd', 'quarantined')", name="verdict"),
    CheckConstraint("(verdict = 'good') = (reason IS NULL)", name="reason"),
    Index("ix_health_check_search_id", "search_id"),
)

unreliable_trial = Table(
    "unreliable_trial",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("health_check_id", Id, ForeignKey("health_check.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("failed_gate", Text),
    Column("reason", ForeignText),
    Column("objective", Double),
    Column("finished", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('passed', 'failed')", name="state"),
    Index("ix_unreliable_trial_trial_id", "trial_id"),
)

# Views under the names that these tables had before revision 0009, for scripts that read them. A migration that
# rebuilds one of the tables has to drop its view before, and create it again.
OLD_NAMES = {
    "canary": "SELECT id, search_id, trial_id, device_id, worker, made, verdict, reason, seconds, figures"
    " FROM health_check",
    "suspect": "SELECT id, trial_id, health_check_id AS canary_id, state, failed_gate, reason, objective, finished"
    " FROM unreliable_trial",
}


@event.listens_for(metadata, "after_create")
def _create_views(target: MetaData, connection: Connection, **options: object) -> None:
    for name, query in OLD_NAMES.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")


@event.listens_for(metadata, "before_drop")
def _drop_views(target: MetaData, connection: Connection, **options: object) -> None:
    for name in OLD_NAMES:
        connection.exec_driver_sql(f"DROP VIEW {name}")
