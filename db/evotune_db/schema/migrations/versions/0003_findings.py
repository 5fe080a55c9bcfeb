"""Add certifications, profiles, diagnoses and built trials; tie a leaderboard entry to its certification."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from evotune_db.schema.migrations.guards import AT_0002, AT_0003, create_guards, drop_guards

revision = "0003"
down_revision = "0002"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
TABLES = ("certification", "certification_check", "profile", "diagnosis")
BEST_FIRST = (sa.text("confirmed DESC"), sa.text("speedup DESC"), "trial_id")
STATES = "state IN ('proposed', 'building', 'measuring', 'passed', 'failed'{})"
FINISHED = "(state IN ('passed', 'failed'{})) = (finished IS NOT NULL)"
BUILT = "state <> 'built' OR device_id IS NULL"


def upgrade() -> None:
    drop_guards(op.get_bind())
    create_certification()
    create_profile()
    create_diagnosis()
    admit_built_trials()
    certify_entries()
    create_guards(op.get_bind(), AT_0003)


def downgrade() -> None:
    """Remove them; the database refuses while it has trials that are built and not run."""
    drop_guards(op.get_bind())
    forget_certifications()
    refuse_built_trials()
    for table in reversed(TABLES):
        op.drop_table(table)
    create_guards(op.get_bind(), AT_0002)


def required(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def identity() -> sa.Column[Any]:
    return sa.Column("id", Id, primary_key=True)


def references(*tables: str) -> list[sa.ForeignKeyConstraint]:
    return [sa.ForeignKeyConstraint([f"{table}_id"], [f"{table}.id"]) for table in tables]


def create_certification() -> None:
    op.create_table(
        "certification",
        identity(),
        *(required(name, Id) for name in ("trial_id", "build_id", "device_id")),
        required("made", Moment),
        required("passed", sa.Boolean),
        required("runs", sa.Integer),
        required("different_runs", sa.Integer),
        sa.UniqueConstraint("id", "trial_id", "build_id", "passed"),
        sa.UniqueConstraint("id", "passed"),
        sa.CheckConstraint("runs >= 0 AND different_runs >= 0 AND different_runs <= runs", name="runs"),
        sa.CheckConstraint("NOT passed OR (runs > 0 AND different_runs = 0)", name="passed"),
        *references("trial", "build", "device"),
    )
    op.create_index("ix_certification_trial_id", "certification", ["trial_id"])
    tools = "'memcheck', 'racecheck', 'synccheck', 'initcheck', 'repeatability', 'resources'"
    op.create_table(
        "certification_check",
        sa.Column("certification_id", Id, primary_key=True, autoincrement=False),
        sa.Column("tool", sa.Text, primary_key=True),
        required("certification_passed", sa.Boolean),
        required("passed", sa.Boolean),
        required("findings", sa.Integer),
        required("summary", sa.Text),
        required("seconds", sa.Double),
        required("log", sa.Text),
        sa.CheckConstraint(f"tool IN ({tools})", name="tool"),
        sa.CheckConstraint("passed OR NOT certification_passed", name="passed"),
        sa.CheckConstraint("findings >= 0 AND (NOT passed OR findings = 0)", name="findings"),
        sa.ForeignKeyConstraint(
            ["certification_id", "certification_passed"], ["certification.id", "certification.passed"]
        ),
    )


def create_profile() -> None:
    percentages = ("tensor_active", "warp_execution_efficiency", "dram_throughput", "l2_throughput")
    op.create_table(
        "profile",
        identity(),
        *(required(name, Id) for name in ("trial_id", "build_id", "device_id")),
        required("workload", sa.Text),
        required("made", Moment),
        sa.Column("duration_us", sa.Double),
        *(sa.Column(f"{name}_pct", sa.Double) for name in (*percentages, "achieved_occupancy")),
        sa.Column("registers", sa.Integer),
        required("metrics", Json),
        *references("trial", "build", "device"),
    )
    op.create_index("ix_profile_trial_id", "profile", ["trial_id", "build_id", "workload"])


def create_diagnosis() -> None:
    op.create_table(
        "diagnosis",
        identity(),
        required("trial_id", Id),
        required("workload", sa.Text),
        required("stage", sa.Text),
        required("passed", sa.Boolean),
        *(sa.Column(name, sa.Double) for name in ("max_error", "rms_error", "limit")),
        required("wrong", Id),
        sa.Column("first_wrong", Json),
        required("tile_map", sa.Text),
        sa.UniqueConstraint("trial_id", "workload", "stage"),
        sa.CheckConstraint("stage IN ('scores', 'softmax', 'output')", name="stage"),
        sa.CheckConstraint("wrong >= 0", name="wrong"),
        *references("trial"),
    )


def admit_built_trials() -> None:
    with op.batch_alter_table("trial") as trial:
        replace_states(trial, ", 'built'")
        trial.create_check_constraint("built", BUILT)


def refuse_built_trials() -> None:
    with op.batch_alter_table("trial") as trial:
        trial.drop_constraint(op.f("ck_trial_built"), type_="check")
        replace_states(trial, "")


def replace_states(trial: Any, more: str) -> None:
    for name, rule in (("state", STATES), ("finished", FINISHED)):
        trial.drop_constraint(op.f(f"ck_trial_{name}"), type_="check")
        trial.create_check_constraint(name, rule.format(more))


def certify_entries() -> None:
    """Mark every entry as not certified, whatever a client without foreign keys may have written."""
    op.create_index("ix_timing_build", "timing", ["id", "build_id"], unique=True)
    # Reflection on SQLite loses the order within an index, so this index is created again.
    op.drop_index("ix_leaderboard_rank", "leaderboard")
    with op.batch_alter_table("leaderboard") as leaderboard:
        leaderboard.add_column(sa.Column("build_id", Id))
        leaderboard.add_column(sa.Column("certification_id", Id))
    timed = "(SELECT timing.build_id FROM timing WHERE timing.id = leaderboard.timing_id)"
    op.execute(f"UPDATE leaderboard SET certified = false, build_id = {timed}")
    with op.batch_alter_table("leaderboard") as leaderboard:
        leaderboard.alter_column("build_id", nullable=False)
        tie_to_certification(leaderboard)
    create_rank_index()


def tie_to_certification(leaderboard: Any) -> None:
    leaderboard.create_foreign_key(
        op.f("fk_leaderboard_timing_build_id"), "timing", ["build_id", "timing_id"], ["build_id", "id"]
    )
    leaderboard.create_foreign_key(
        op.f("fk_leaderboard_certification_certification_id"),
        "certification",
        ["certification_id", "trial_id", "build_id", "certified"],
        ["id", "trial_id", "build_id", "passed"],
    )
    leaderboard.create_check_constraint("certified", "certification_id IS NOT NULL OR NOT certified")


def forget_certifications() -> None:
    op.drop_index("ix_leaderboard_rank", "leaderboard")
    op.execute("UPDATE leaderboard SET certified = false, certification_id = NULL")
    with op.batch_alter_table("leaderboard") as leaderboard:
        leaderboard.drop_constraint(op.f("ck_leaderboard_certified"), type_="check")
        leaderboard.drop_constraint(op.f("fk_leaderboard_certification_certification_id"), type_="foreignkey")
        leaderboard.drop_constraint(op.f("fk_leaderboard_timing_build_id"), type_="foreignkey")
        leaderboard.drop_column("certification_id")
        leaderboard.drop_column("build_id")
    op.drop_index("ix_timing_build", "timing")
    create_rank_index()


def create_rank_index() -> None:
    place = ("kernel", "target", "device", "workload")
    op.create_index("ix_leaderboard_rank", "leaderboard", [*place, *BEST_FIRST])
