"""The table of who runs a search; what its rows mean is in lease.py."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from evotune_db.schema.column_types import Id, UtcDateTime
from evotune_db.schema.metadata import metadata

lease = Table(
    "lease",
    metadata,
    Column("search_id", Id, ForeignKey("search.id"), primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("machine", Text),
    Column("process", Integer, nullable=False),
    Column("born", Text),
    Column("renewed", UtcDateTime, nullable=False),
    # The holder's last write, and the id that it made if it made one.
    Column("written", Text),
    Column("result", Id),
)
