"""The record: schema, migrations, writes and leaderboard queries."""

from evotune_db.database import Database
from evotune_db.errors import DatabaseError, NotFoundError

__all__ = ["Database", "DatabaseError", "NotFoundError"]
