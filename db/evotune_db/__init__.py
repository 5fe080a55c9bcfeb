"""The database of searches: schema, migrations, writes and leaderboard queries."""

from evotune_db.database import Database
from evotune_db.errors import ConnectionLost, DatabaseError, LeaseHeld, LeaseLost, NotFoundError

__all__ = ["ConnectionLost", "Database", "DatabaseError", "LeaseHeld", "LeaseLost", "NotFoundError"]
