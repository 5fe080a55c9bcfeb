"""The tables of this version, with those of the other *_tables.py; a test checks that the migrations lead here.

The database itself enforces the rules that make a result trustworthy. A leaderboard entry repeats the columns that
admit it, and composite foreign keys tie them to their rows. No entry can exist whose trial did not pass or shares
another's binary, or whose timing is censored, warm or another trial's. No entry's figures can differ from its timing's.
An entry counts as certified only with a certification that passed, of this trial and of the build that was timed.
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

from evotune_db.schema.column_types import Finite, ForeignText, Id, Json, UtcDateTime
from evotune_db.schema.finding_tables import certification
from evotune_db.schema.health_tables import health_check, unreliable_trial
from evotune_db.schema.lease_table import lease
from evotune_db.schema.metadata import metadata

__all__ = [
    "build",
    "device",
    "gate_result",
    "health_check",
    "kernel",
    "leaderboard",
    "lease",
    "metadata",
    "search",
    "space",
    "timing",
    "trial",
    "trial_build",
    "unreliable_trial",
]

kernel = Table(
    "kernel",
    metadata,
    Column("name", Text, primary_key=True),
    Column("source_hash", Text, primary_key=True),
)

space = Table(
    "space",
    metadata,
    Column("name", Text, primary_key=True),
    Column("hash", Text, primary_key=True),
    Column("text", Text, nullable=False),
)

# A device whose facts change (a new driver, say) is a new row: old timings keep the facts they were taken under.
device = Table(
    "device",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("facts", Json, nullable=False),
    UniqueConstraint("id", "name"),
    CheckConstraint("kind IN ('cpu', 'cuda')", name="kind"),
)

search = Table(
    "search",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kernel", Text, nullable=False),
    Column("kernel_hash", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("space_hash", Text, nullable=False),
    Column("valid_configurations", Id, nullable=False),
    Column("target", Text, nullable=False),
    Column("workloads", Json, nullable=False),
    Column("sampler", Text, nullable=False),
    Column("seed", Id, nullable=False),
    Column("budget", Id, nullable=False),
    Column("options", Json, nullable=False),
    Column("versions", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("finished", UtcDateTime),
    ForeignKeyConstraint(["kernel", "kernel_hash"], ["kernel.name", "kernel.source_hash"]),
    ForeignKeyConstraint(["space", "space_hash"], ["space.name", "space.hash"]),
    UniqueConstraint("id", "kernel", "target"),
    CheckConstraint("state IN ('running', 'finished', 'interrupted')", name="state"),
    CheckConstraint("(state = 'running') = (finished IS NULL)", name="finished"),
)

build = Table(
    "build",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("target", Text, nullable=False),
    Column("flags", Json, nullable=False),
    Column("compiler", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("succeeded", Boolean, nullable=False),
    Column("binary_hash", Text),
    Column("registers", Integer),
    Column("spill_stores", Integer),
    Column("spill_loads", Integer),
    Column("stack_bytes", Integer),
    Column("shared_bytes", Integer),
    Column("resources", Json, nullable=False),
    Column("log", ForeignText, nullable=False),
)

# own_binary repeats same_binary_as IS NULL in a form that a foreign key can demand. A trial that reused the outcome of
# another search's trial has that trial's binary, so it can have no entry of its own. For reuse_key see read/reuse.py.
trial = Table(
    "trial",
    metadata,
    Column("id", Id, primary_key=True),
    Column("search_id", Id, ForeignKey("search.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("configuration", Json, nullable=False),
    Column("configuration_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("failed_gate", Text),
    Column("reason", ForeignText),
    Column("objective", Double),
    Column("same_binary_as", Id, ForeignKey("trial.id")),
    Column("own_binary", Boolean, nullable=False),
    Column("reused_from", Id, ForeignKey("trial.id")),
    Column("reuse_key", Text),
    Column("device_id", Id, ForeignKey("device.id")),
    Column("build_id", Id, ForeignKey("build.id")),
    Column("proposed", UtcDateTime, nullable=False),
    Column("finished", UtcDateTime),
    UniqueConstraint("search_id", "number"),
    UniqueConstraint("search_id", "configuration_key"),
    UniqueConstraint("id", "search_id", "state", "own_binary"),
    CheckConstraint("state IN ('proposed', 'building', 'measuring', 'passed', 'failed', 'built')", name="state"),
    CheckConstraint("(state = 'failed') = (failed_gate IS NOT NULL)", name="failed_gate"),
    CheckConstraint("(state IN ('passed', 'failed', 'built')) = (finished IS NOT NULL)", name="finished"),
    # A trial that is built for a target and never run has no device.
    CheckConstraint("state <> 'built' OR device_id IS NULL", name="built"),
    CheckConstraint("objective IS NULL OR state = 'passed'", name="objective"),
    CheckConstraint("own_binary = (same_binary_as IS NULL)", name="own_binary"),
    CheckConstraint("same_binary_as <> id", name="same_binary_as"),
    CheckConstraint("reused_from IS NULL OR reused_from = same_binary_as", name="reused_from"),
    CheckConstraint("reuse_key IS NULL OR (own_binary AND state IN ('passed', 'failed'))", name="reuse_key"),
    Index("ix_trial_same_binary_as", "same_binary_as"),
    Index("ix_trial_reuse_key", "reuse_key"),
)

trial_build = Table(
    "trial_build",
    metadata,
    Column("trial_id", Id, ForeignKey("trial.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("build_id", Id, ForeignKey("build.id"), nullable=False),
)

gate_result = Table(
    "gate_result",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("phase", Text, nullable=False),
    Column("gate", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("reason", ForeignText),
    Column("workload", Text),
    Column("distribution", Text),
    Column("seed", Id),
    Column("max_error", Finite),
    Column("max_limit", Finite),
    Column("rms_error", Finite),
    Column("rms_limit", Finite),
    Column("seconds", Finite),
    Column("figures", Json, nullable=False),
    CheckConstraint("phase IN ('search', 'confirm', 'suspect')", name="phase"),
    Index("ix_gate_result_trial_id", "trial_id"),
)

# samples stands last, so that SQLite reads every other column without walking through it.
timing = Table(
    "timing",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("build_id", Id, ForeignKey("build.id"), nullable=False),
    Column("device_id", Id, ForeignKey("device.id"), nullable=False),
    Column("workload", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("censored", Boolean, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("baseline", Text, nullable=False),
    Column("median_us", Double, nullable=False),
    Column("p50_us", Double, nullable=False),
    Column("p90_us", Double, nullable=False),
    Column("p99_us", Double, nullable=False),
    Column("baseline_us", Double, nullable=False),
    Column("speedup", Double, nullable=False),
    Column("speedup_low", Double, nullable=False),
    Column("speedup_high", Double, nullable=False),
    Column("blocks", Integer, nullable=False),
    Column("dropped_blocks", Integer, nullable=False),
    Column("conditions", Json, nullable=False),
    Column("samples", Json, nullable=False),
    UniqueConstraint("id", "trial_id", "workload", "device_id", "speedup", "phase", "complete"),
    CheckConstraint("phase IN ('search', 'confirm', 'suspect')", name="phase"),
    CheckConstraint("mode IN ('cold', 'warm')", name="mode"),
    CheckConstraint("complete = (mode = 'cold' AND NOT censored)", name="complete"),
    # The upper bounds refuse NaN and infinity, which PostgreSQL sorts above every number.
    CheckConstraint(
        "median_us > 0 AND median_us < 1e300 AND baseline_us > 0 AND baseline_us < 1e300"
        " AND speedup > 0 AND speedup < 1e300",
        name="figures",
    ),
    Index("ix_timing_trial_id", "trial_id"),
    # The build of a leaderboard entry refers to this key.
    Index("ix_timing_build", "id", "build_id", unique=True),
)

leaderboard = Table(
    "leaderboard",
    metadata,
    Column("trial_id", Id, primary_key=True, autoincrement=False),
    Column("workload", Text, primary_key=True),
    Column("search_id", Id, nullable=False),
    Column("trial_state", Text, nullable=False),
    Column("own_binary", Boolean, nullable=False),
    Column("kernel", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("device_id", Id, nullable=False),
    Column("device", Text, nullable=False),
    Column("timing_id", Id, nullable=False, unique=True),
    Column("timing_phase", Text, nullable=False),
    Column("timing_complete", Boolean, nullable=False),
    Column("speedup", Double, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("certified", Boolean, nullable=False),
    Column("build_id", Id, nullable=False),
    Column("certification_id", Id),
    ForeignKeyConstraint(
        ["trial_id", "search_id", "trial_state", "own_binary"],
        ["trial.id", "trial.search_id", "trial.state", "trial.own_binary"],
    ),
    ForeignKeyConstraint(
        ["timing_id", "trial_id", "workload", "device_id", "speedup", "timing_phase", "timing_complete"],
        [f"timing.{name}" for name in ("id", "trial_id", "workload", "device_id", "speedup", "phase", "complete")],
    ),
    ForeignKeyConstraint(["search_id", "kernel", "target"], ["search.id", "search.kernel", "search.target"]),
    ForeignKeyConstraint(["device_id", "device"], ["device.id", "device.name"]),
    ForeignKeyConstraint(["build_id", "timing_id"], ["timing.build_id", "timing.id"]),
    ForeignKeyConstraint(
        ["certification_id", "trial_id", "build_id", "certified"],
        [certification.c[name] for name in ("id", "trial_id", "build_id", "passed")],
    ),
    CheckConstraint("trial_state = 'passed'", name="passed"),
    CheckConstraint("own_binary", name="own_binary"),
    CheckConstraint("timing_complete", name="complete"),
    CheckConstraint("confirmed = (timing_phase = 'confirm')", name="confirmed"),
    CheckConstraint("certification_id IS NOT NULL OR NOT certified", name="certified"),
)
# The order of the ranking, so that it needs no sort; see read/ranking.py.
Index(
    "ix_leaderboard_rank",
    *(leaderboard.c[name] for name in ("kernel", "target", "device", "workload")),
    leaderboard.c.confirmed.desc(),
    leaderboard.c.speedup.desc(),
    leaderboard.c.trial_id,
)
# trial_id is the second column, since SQLite looks here for a changed trial's entries and would read all of its search.
Index("ix_leaderboard_search_id", leaderboard.c.search_id, leaderboard.c.trial_id)
