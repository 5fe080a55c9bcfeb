"""Create the first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
TABLES = (
    *("kernel", "space", "device", "search", "build", "trial", "trial_build", "gate_result", "timing", "leaderboard"),
)


def upgrade() -> None:
    create_what_a_search_is_made_of()
    create_search()
    create_build()
    create_trial()
    create_evidence()
    create_timing()
    create_leaderboard()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def required(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def identity() -> sa.Column[Any]:
    return sa.Column("id", Id, primary_key=True)


def create_what_a_search_is_made_of() -> None:
    op.create_table(
        "kernel",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("source_hash", sa.Text, primary_key=True),
    )
    op.create_table(
        "space",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, primary_key=True),
        required("text", sa.Text),
    )
    op.create_table(
        "device",
        identity(),
        required("hash", sa.Text, unique=True),
        required("uuid", sa.Text),
        required("name", sa.Text),
        required("kind", sa.Text),
        required("facts", Json),
        sa.UniqueConstraint("id", "name"),
        sa.CheckConstraint("kind IN ('cpu', 'cuda')", name="kind"),
    )


def create_search() -> None:
    op.create_table(
        "search",
        identity(),
        required("kernel", sa.Text),
        required("kernel_hash", sa.Text),
        required("space", sa.Text),
        required("space_hash", sa.Text),
        required("valid_configurations", Id),
        required("target", sa.Text),
        required("workloads", Json),
        required("sampler", sa.Text),
        required("seed", Id),
        required("budget", Id),
        required("options", Json),
        required("versions", Json),
        required("state", sa.Text),
        required("started", Moment),
        sa.Column("finished", Moment),
        sa.ForeignKeyConstraint(["kernel", "kernel_hash"], ["kernel.name", "kernel.source_hash"]),
        sa.ForeignKeyConstraint(["space", "space_hash"], ["space.name", "space.hash"]),
        sa.UniqueConstraint("id", "kernel", "target"),
        sa.CheckConstraint("state IN ('running', 'finished', 'interrupted')", name="state"),
        sa.CheckConstraint("(state = 'running') = (finished IS NULL)", name="finished"),
    )


def create_build() -> None:
    op.create_table(
        "build",
        identity(),
        required("key", sa.Text, unique=True),
        required("target", sa.Text),
        required("flags", Json),
        required("compiler", sa.Text),
        required("seconds", sa.Double),
        required("succeeded", sa.Boolean),
        sa.Column("binary_hash", sa.Text),
        sa.Column("registers", sa.Integer),
        sa.Column("spill_stores", sa.Integer),
        sa.Column("spill_loads", sa.Integer),
        sa.Column("stack_bytes", sa.Integer),
        sa.Column("shared_bytes", sa.Integer),
        required("resources", Json),
        required("log", sa.Text),
    )


def create_trial() -> None:
    op.create_table(
        "trial",
        identity(),
        required("search_id", Id),
        required("number", sa.Integer),
        required("configuration", Json),
        required("configuration_key", sa.Text),
        required("state", sa.Text),
        sa.Column("failed_gate", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("objective", sa.Double),
        sa.Column("same_binary_as", Id),
        required("own_binary", sa.Boolean),
        sa.Column("device_id", Id),
        sa.Column("build_id", Id),
        required("proposed", Moment),
        sa.Column("finished", Moment),
        sa.UniqueConstraint("search_id", "number"),
        sa.UniqueConstraint("search_id", "configuration_key"),
        sa.UniqueConstraint("id", "search_id", "state", "own_binary"),
        sa.CheckConstraint("state IN ('proposed', 'building', 'measuring', 'passed', 'failed')", name="state"),
        sa.CheckConstraint("(state = 'failed') = (failed_gate IS NOT NULL)", name="failed_gate"),
        sa.CheckConstraint("(state IN ('passed', 'failed')) = (finished IS NOT NULL)", name="finished"),
        sa.CheckConstraint("objective IS NULL OR state = 'passed'", name="objective"),
        sa.CheckConstraint("own_binary = (same_binary_as IS NULL)", name="own_binary"),
        sa.CheckConstraint("same_binary_as <> id", name="same_binary_as"),
        sa.ForeignKeyConstraint(["search_id"], ["search.id"]),
        sa.ForeignKeyConstraint(["same_binary_as"], ["trial.id"]),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"]),
    )
    op.create_index("ix_trial_same_binary_as", "trial", ["same_binary_as"])
    op.create_table(
        "trial_build",
        sa.Column("trial_id", Id, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        required("build_id", Id),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"]),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"]),
    )


def create_evidence() -> None:
    op.create_table(
        "gate_result",
        identity(),
        required("trial_id", Id),
        required("phase", sa.Text),
        required("gate", sa.Text),
        required("passed", sa.Boolean),
        sa.Column("reason", sa.Text),
        sa.Column("workload", sa.Text),
        sa.Column("distribution", sa.Text),
        sa.Column("seed", Id),
        sa.Column("max_error", sa.Double),
        sa.Column("max_limit", sa.Double),
        sa.Column("rms_error", sa.Double),
        sa.Column("rms_limit", sa.Double),
        sa.Column("seconds", sa.Double),
        required("figures", Json),
        sa.CheckConstraint("phase IN ('search', 'confirm')", name="phase"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"]),
    )
    op.create_index("ix_gate_result_trial_id", "gate_result", ["trial_id"])


def create_timing() -> None:
    op.create_table(
        "timing",
        identity(),
        required("trial_id", Id),
        required("build_id", Id),
        required("device_id", Id),
        required("workload", sa.Text),
        required("phase", sa.Text),
        required("mode", sa.Text),
        required("censored", sa.Boolean),
        required("complete", sa.Boolean),
        required("baseline", sa.Text),
        *(required(name, sa.Double) for name in ("median_us", "p50_us", "p90_us", "p99_us", "baseline_us")),
        *(required(name, sa.Double) for name in ("speedup", "speedup_low", "speedup_high")),
        required("blocks", sa.Integer),
        required("dropped_blocks", sa.Integer),
        required("conditions", Json),
        required("samples", Json),
        sa.UniqueConstraint("id", "trial_id", "workload", "device_id", "speedup", "phase", "complete"),
        sa.CheckConstraint("phase IN ('search', 'confirm')", name="phase"),
        sa.CheckConstraint("mode IN ('cold', 'warm')", name="mode"),
        sa.CheckConstraint("complete = (mode = 'cold' AND NOT censored)", name="complete"),
        sa.CheckConstraint(
            "median_us > 0 AND median_us < 1e300 AND baseline_us > 0 AND baseline_us < 1e300"
            " AND speedup > 0 AND speedup < 1e300",
            name="figures",
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"]),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"]),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
    )
    op.create_index("ix_timing_trial_id", "timing", ["trial_id"])


def create_leaderboard() -> None:
    op.create_table(
        "leaderboard",
        sa.Column("trial_id", Id, primary_key=True, autoincrement=False),
        sa.Column("workload", sa.Text, primary_key=True),
        required("search_id", Id),
        required("trial_state", sa.Text),
        required("own_binary", sa.Boolean),
        required("kernel", sa.Text),
        required("target", sa.Text),
        required("device_id", Id),
        required("device", sa.Text),
        required("timing_id", Id, unique=True),
        required("timing_phase", sa.Text),
        required("timing_complete", sa.Boolean),
        required("speedup", sa.Double),
        required("confirmed", sa.Boolean),
        required("certified", sa.Boolean),
        sa.ForeignKeyConstraint(
            ["trial_id", "search_id", "trial_state", "own_binary"],
            ["trial.id", "trial.search_id", "trial.state", "trial.own_binary"],
        ),
        sa.ForeignKeyConstraint(
            ["timing_id", "trial_id", "workload", "device_id", "speedup", "timing_phase", "timing_complete"],
            [f"timing.{name}" for name in ("id", "trial_id", "workload", "device_id", "speedup", "phase", "complete")],
        ),
        sa.ForeignKeyConstraint(["search_id", "kernel", "target"], ["search.id", "search.kernel", "search.target"]),
        sa.ForeignKeyConstraint(["device_id", "device"], ["device.id", "device.name"]),
        sa.CheckConstraint("trial_state = 'passed'", name="passed"),
        sa.CheckConstraint("own_binary", name="own_binary"),
        sa.CheckConstraint("timing_complete", name="complete"),
        sa.CheckConstraint("confirmed = (timing_phase = 'confirm')", name="confirmed"),
    )
    best_first = (sa.text("confirmed DESC"), sa.text("speedup DESC"), "trial_id")
    op.create_index("ix_leaderboard_rank", "leaderboard", ["kernel", "target", "device", "workload", *best_first])
    op.create_index("ix_leaderboard_search_id", "leaderboard", ["search_id"])
