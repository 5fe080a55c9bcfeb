"""An index by which SQLite finds the entries that a trial's new state would leave without what they stand for."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

NAME = "ix_leaderboard_search_id"


def upgrade() -> None:
    """Beside the index of a search's entries SQLite took no other, and read all of them at each change of a trial."""
    replace_index("search_id", "trial_id")


def downgrade() -> None:
    replace_index("search_id")


def replace_index(*columns: str) -> None:
    op.drop_index(NAME, "leaderboard")
    op.create_index(NAME, "leaderboard", list(columns))
