"""The tables of findings about a trial beside its outcome; a part of the schema, see tables.py.

A check repeats the verdict of its certification, tied to it by a composite foreign key. No certification with a failed
check can therefore have passed.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from evotune_db.schema.column_types import Finite, ForeignText, Id, Json, NullableJson, UtcDateTime
from evotune_db.schema.metadata import metadata

certification = Table(
    "certification",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("build_id", Id, ForeignKey("build.id"), nullable=False),
    Column("device_id", Id, ForeignKey("device.id"), nullable=False),
    Column("made", UtcDateTime, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("different_runs", Integer, nullable=False),
    # A leaderboard entry refers to the first, a check to the second.
    UniqueConstraint("id", "trial_id", "build_id", "passed"),
    UniqueConstraint("id", "passed"),
    CheckConstraint("runs >= 0 AND different_runs >= 0 AND different_runs <= runs", name="runs"),
    CheckConstraint("NOT passed OR (runs > 0 AND different_runs = 0)", name="passed"),
    Index("ix_certification_trial_id", "trial_id"),
)

certification_check = Table(
    "certification_check",
    metadata,
    Column("certification_id", Id, primary_key=True, autoincrement=False),
    Column("tool", Text, primary_key=True),
    Column("certification_passed", Boolean, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("findings", Integer, nullable=False),
    Column("summary", ForeignText, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("log", ForeignText, nullable=False),
    ForeignKeyConstraint(["certification_id", "certification_passed"], ["certification.id", "certification.passed"]),
    CheckConstraint(
        "tool IN ('memcheck', 'racecheck', 'synccheck', 'initcheck', 'repeatability', 'resources')", name="tool"
    ),
    CheckConstraint("passed OR NOT certification_passed", name="passed"),
    CheckConstraint("findings >= 0 AND (NOT passed OR findings = 0)", name="findings"),
)

# A counter that could not be read is NULL; metrics holds every counter as the profiler printed it.
profile = Table(
    "profile",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("build_id", Id, ForeignKey("build.id"), nullable=False),
    Column("device_id", Id, ForeignKey("device.id"), nullable=False),
    Column("workload", Text, nullable=False),
    Column("made", UtcDateTime, nullable=False),
    Column("duration_us", Finite),
    Column("tensor_active_pct", Finite),
    Column("warp_execution_efficiency_pct", Finite),
    Column("dram_throughput_pct", Finite),
    Column("l2_throughput_pct", Finite),
    Column("achieved_occupancy_pct", Finite),
    Column("registers", Integer),
    Column("metrics", Json, nullable=False),
    Index("ix_profile_trial_id", "trial_id", "build_id", "workload"),
)

# A stage that could not be compared has a reason, and neither errors nor a limit.
diagnosis = Table(
    "diagnosis",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("workload", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("max_error", Finite),
    Column("rms_error", Finite),
    Column("limit", Finite),
    Column("wrong", Id, nullable=False),
    Column("first_wrong", NullableJson),
    Column("tile_map", Text, nullable=False),
    Column("distribution", Text),
    Column("seed", Id),
    Column("reason", ForeignText),
    UniqueConstraint("trial_id", "workload", "stage"),
    CheckConstraint("stage <> ''", name="stage"),
    CheckConstraint("wrong >= 0", name="wrong"),
    CheckConstraint("reason IS NULL OR NOT passed", name="reason"),
)
