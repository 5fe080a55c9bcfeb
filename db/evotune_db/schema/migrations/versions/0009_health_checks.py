"""Rename canary to health_check and suspect to unreliable_trial, with views under the old names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
CHECK = "id, search_id, trial_id, device_id, worker, made, verdict, reason, seconds, figures"
OUTCOME = "id, trial_id, {check}_id{label}, state, failed_gate, reason, objective, finished"
OLD_OUTCOME = OUTCOME.format(check="canary", label="")
NEW_OUTCOME = OUTCOME.format(check="health_check", label="")
VIEWS = {
    "canary": f"SELECT {CHECK} FROM health_check",
    "suspect": f"SELECT {OUTCOME.format(check='health_check', label=' AS canary_id')} FROM unreliable_trial",
}


def upgrade() -> None:
    """Copy the rows, which are few, so that every constraint and index gets its new name on SQLite too."""
    create_checks("health_check")
    create_outcomes("unreliable_trial", "health_check")
    copy("canary", CHECK, "health_check", CHECK)
    copy("suspect", OLD_OUTCOME, "unreliable_trial", NEW_OUTCOME)
    op.drop_table("suspect")
    op.drop_table("canary")
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    create_checks("canary")
    create_outcomes("suspect", "canary")
    copy("health_check", CHECK, "canary", CHECK)
    copy("unreliable_trial", NEW_OUTCOME, "suspect", OLD_OUTCOME)
    op.drop_table("unreliable_trial")
    op.drop_table("health_check")


def required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def references(*tables: str) -> list[sa.ForeignKeyConstraint]:
    return [sa.ForeignKeyConstraint([f"{table}_id"], [f"{table}.id"]) for table in tables]


def create_checks(table: str) -> None:
    op.create_table(
        table,
        sa.Column("id", Id, primary_key=True),
        *(required(f"{name}_id", Id) for name in ("search", "trial", "device")),
        required("worker", sa.Text),
        required("made", Moment),
        required("verdict", sa.Text),
        sa.Column("reason", sa.Text),
        required("seconds", sa.Double),
        required("figures", Json),
        sa.CheckConstraint("verdict IN ('good', 'odd', 'quarantined')", name="verdict"),
        sa.CheckConstraint("(verdict = 'good') = (reason IS NULL)", name="reason"),
        *references("search", "trial", "device"),
    )
    op.create_index(f"ix_{table}_search_id", table, ["search_id"])


def create_outcomes(table: str, checks: str) -> None:
    op.create_table(
        table,
        sa.Column("id", Id, primary_key=True),
        required("trial_id", Id),
        required(f"{checks}_id", Id),
        required("state", sa.Text),
        sa.Column("failed_gate", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("objective", sa.Double),
        required("finished", Moment),
        sa.CheckConstraint("state IN ('passed', 'failed')", name="state"),
        *references("trial", checks),
    )
    op.create_index(f"ix_{table}_trial_id", table, ["trial_id"])


def copy(source: str, read: str, destination: str, written: str) -> None:
    op.execute(f"INSERT INTO {destination} ({written}) SELECT {read} FROM {source}")
    if op.get_bind().dialect.name == "postgresql":
        # PostgreSQL numbers new rows without looking at rows that were inserted with their ids.
        latest = f"(SELECT max(id) FROM {destination})"
        op.execute(f"SELECT setval(pg_get_serial_sequence('{destination}', 'id'), {latest})")
