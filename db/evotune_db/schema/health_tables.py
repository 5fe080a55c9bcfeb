"""The tables of what makes results doubtful; part of the schema, see schema.py.

A canary is one configuration of a search, measured again by each of its workers. What a worker measured since its last
good canary is suspect when one is odd: the trial gives up its outcome, which is kept here, and is measured again.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, Index, Table, Text

from evotune_db.schema.column_types import ForeignText, Id, Json, UtcDateTime
from evotune_db.schema.metadata import metadata

# `odd`: the worker has to show itself good in a fresh process; `quarantined`: it did not, and gets no more work.
canary = Table(
    "canary",
    metadata,
    Column("id", Id, primary_key=True),
    Column("search_id", Id, ForeignKey("search.id"), nullable=False),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("device_id", Id, ForeignKey("device.id"), nullable=False),
    Column("worker", Text, nullable=False),
    Column("made", UtcDateTime, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", ForeignText),
    Column("seconds", Double, nullable=False),
    Column("figures", Json, nullable=False),
    CheckConstraint("verdict IN ('good', 'odd', 'quarantined')", name="verdict"),
    CheckConstraint("(verdict = 'good') = (reason IS NULL)", name="reason"),
    Index("ix_canary_search_id", "search_id"),
)

suspect = Table(
    "suspect",
    metadata,
    Column("id", Id, primary_key=True),
    Column("trial_id", Id, ForeignKey("trial.id"), nullable=False),
    Column("canary_id", Id, ForeignKey("canary.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("failed_gate", Text),
    Column("reason", ForeignText),
    Column("objective", Double),
    Column("finished", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('passed', 'failed')", name="state"),
    Index("ix_suspect_trial_id", "trial_id"),
)
