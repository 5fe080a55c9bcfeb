"""Index the entries of a trial for SQLite's check of foreign keys when the trial changes."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

NAME = "ix_leaderboard_search_id"


def upgrade() -> None:
    """Add the trial to the index of a search's entries, all of which SQLite read at each change of a trial."""
    replace_index("search_id", "trial_id")


def downgrade() -> None:
    replace_index("search_id")


def replace_index(*columns: str) -> None:
    op.drop_index(NAME, "leaderboard")
    op.create_index(NAME, "leaderboard", list(columns))
