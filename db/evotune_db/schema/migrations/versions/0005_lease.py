"""Add the leases of the processes that run searches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("search_id", Id, nullable=False, autoincrement=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("machine", sa.Text),
        sa.Column("process", sa.Integer, nullable=False),
        sa.Column("born", sa.Text),
        sa.Column("renewed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("written", sa.Text),
        sa.Column("result", Id),
        sa.PrimaryKeyConstraint("search_id", name=op.f("pk_lease")),
        sa.ForeignKeyConstraint(["search_id"], ["search.id"], name=op.f("fk_lease_search_search_id")),
    )


def downgrade() -> None:
    op.drop_table("lease")
