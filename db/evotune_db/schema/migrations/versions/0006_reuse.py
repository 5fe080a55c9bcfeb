"""Let a trial reuse the outcome of another search's trial."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from evotune_db.schema.migrations.guards import AT_0003, create_guards, drop_guards

revision = "0006"
down_revision = "0005"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    drop_guards(op.get_bind())
    with op.batch_alter_table("trial") as trial:
        trial.add_column(sa.Column("reused_from", Id))
        trial.add_column(sa.Column("reuse_key", sa.Text))
        trial.create_foreign_key(op.f("fk_trial_trial_reused_from"), "trial", ["reused_from"], ["id"])
        trial.create_check_constraint("reused_from", "reused_from IS NULL OR reused_from = same_binary_as")
        trial.create_check_constraint(
            "reuse_key", "reuse_key IS NULL OR (own_binary AND state IN ('passed', 'failed'))"
        )
    op.create_index("ix_trial_reuse_key", "trial", ["reuse_key"])
    create_guards(op.get_bind(), AT_0003)


def downgrade() -> None:
    """Remove reuse; a trial that reused an outcome stays a trial with the same binary as the other."""
    drop_guards(op.get_bind())
    op.drop_index("ix_trial_reuse_key", "trial")
    with op.batch_alter_table("trial") as trial:
        for name in ("reuse_key", "reused_from"):
            trial.drop_constraint(op.f(f"ck_trial_{name}"), type_="check")
        trial.drop_constraint(op.f("fk_trial_trial_reused_from"), type_="foreignkey")
        trial.drop_column("reuse_key")
        trial.drop_column("reused_from")
    create_guards(op.get_bind(), AT_0003)
