"""Add health checks of workers, and the outcomes that a failed check makes unreliable."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from evotune_db.schema.migrations.guards import AT_0003, create_guards, drop_guards

revision = "0007"
down_revision = "0006"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
EVIDENCE = ("gate_result", "timing")
PHASES = "phase IN ('search', 'confirm'{})"


def upgrade() -> None:
    drop_guards(op.get_bind())
    create_canary()
    create_suspect()
    admit(", 'suspect'")
    create_guards(op.get_bind(), AT_0003)


def downgrade() -> None:
    """Delete health checks, unreliable outcomes and their evidence."""
    drop_guards(op.get_bind())
    for table in EVIDENCE:
        op.execute(f"DELETE FROM {table} WHERE phase = 'suspect'")
    admit("")
    op.drop_table("suspect")
    op.drop_table("canary")
    create_guards(op.get_bind(), AT_0003)


def required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def create_canary() -> None:
    op.create_table(
        "canary",
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
        *(sa.ForeignKeyConstraint([f"{name}_id"], [f"{name}.id"]) for name in ("search", "trial", "device")),
    )
    op.create_index("ix_canary_search_id", "canary", ["search_id"])


def create_suspect() -> None:
    op.create_table(
        "suspect",
        sa.Column("id", Id, primary_key=True),
        required("trial_id", Id),
        required("canary_id", Id),
        required("state", sa.Text),
        sa.Column("failed_gate", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("objective", sa.Double),
        required("finished", Moment),
        sa.CheckConstraint("state IN ('passed', 'failed')", name="state"),
        *(sa.ForeignKeyConstraint([f"{name}_id"], [f"{name}.id"]) for name in ("trial", "canary")),
    )
    op.create_index("ix_suspect_trial_id", "suspect", ["trial_id"])


def admit(more: str) -> None:
    for table in EVIDENCE:
        with op.batch_alter_table(table) as evidence:
            evidence.drop_constraint(op.f(f"ck_{table}_phase"), type_="check")
            evidence.create_check_constraint("phase", PHASES.format(more))
