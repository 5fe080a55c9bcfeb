"""Enforce the leaderboard's foreign keys by triggers too, on SQLite."""

from __future__ import annotations

from alembic import op

from evotune_db.schema.migrations.guards import AT_0002, create_guards, drop_guards

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_guards(op.get_bind(), AT_0002)


def downgrade() -> None:
    drop_guards(op.get_bind())
