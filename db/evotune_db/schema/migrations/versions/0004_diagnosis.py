"""Let a diagnosis name its inputs, stages of any kernel, and the reason why a stage was not compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KNOWN = "stage IN ('scores', 'softmax', 'output')"
COLUMNS = ("distribution", "seed", "reason")


def upgrade() -> None:
    with op.batch_alter_table("diagnosis") as diagnosis:
        diagnosis.add_column(sa.Column("distribution", sa.Text))
        diagnosis.add_column(sa.Column("seed", Id))
        diagnosis.add_column(sa.Column("reason", sa.Text))
        diagnosis.drop_constraint(op.f("ck_diagnosis_stage"), type_="check")
        diagnosis.create_check_constraint("stage", "stage <> ''")
        diagnosis.create_check_constraint("reason", "reason IS NULL OR NOT passed")


def downgrade() -> None:
    """Delete diagnoses of other kernels' stages, and stages that were not compared."""
    op.execute(f"DELETE FROM diagnosis WHERE NOT ({KNOWN}) OR reason IS NOT NULL")
    with op.batch_alter_table("diagnosis") as diagnosis:
        for name in ("stage", "reason"):
            diagnosis.drop_constraint(op.f(f"ck_diagnosis_{name}"), type_="check")
        diagnosis.create_check_constraint("stage", KNOWN)
        for name in COLUMNS:
            diagnosis.drop_column(name)
