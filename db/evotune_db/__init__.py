"""The record: schema, migrations, writes and leaderboard queries."""

from evotune_db.database import Database
from evotune_db.errors import ConnectionLost, DatabaseError, NotFoundError
from evotune_db.write.lease import LeaseHeld, LeaseLost

__all__ = ["ConnectionLost", "Database", "DatabaseError", "LeaseHeld", "LeaseLost", "NotFoundError"]
