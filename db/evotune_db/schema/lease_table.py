"""The table of leases: each row names the process that runs a search; see write/lease.py and lease_status.py."""

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
    # The last write under the lease, and the id that it made if it made one.
    Column("written", Text),
    Column("result", Id),
)
