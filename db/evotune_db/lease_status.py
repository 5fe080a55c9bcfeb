"""The status of a search's lease: reads show it, and a process takes a lease only when no other has it.

On its own machine a process that has ended is known at once. A process on another machine has lost its lease when it
has not renewed it for LEASE_SECONDS by the database's clock.
"""

from __future__ import annotations

from datetime import datetime

from evotune_db.process_identity import ProcessIdentity
from evotune_db.rows import AnyRow
from evotune_db.schema.lease_table import lease

# Longer than a lost connection is waited for (retry.py), so that its end finds the lease as it was.
LEASE_SECONDS = 120.0
# The columns that identify the process with the lease; all are NULL in an outer join when no process has it.
OWNER = (lease.c.host, lease.c.machine, lease.c.process, lease.c.born, lease.c.renewed)


def is_leased(row: AnyRow, asking: ProcessIdentity, moment: datetime) -> bool:
    """Return True if a process runs the search, by a row with the columns OWNER."""
    return row.renewed is not None and not has_lapsed(row, asking, moment)


def has_lapsed(row: AnyRow, asking: ProcessIdentity, moment: datetime) -> bool:
    """Return True if the process has ended or, where that is unknown, was silent for LEASE_SECONDS."""
    ended = owner_has_ended(row, asking)
    return silent_seconds(row, moment) >= LEASE_SECONDS if ended is None else ended


def owner_has_ended(row: AnyRow, asking: ProcessIdentity) -> bool | None:
    """Return True if the process with the lease has ended, None where the asking process cannot know."""
    return ProcessIdentity(row.host, row.process, row.machine, row.born).has_ended(asking)


def silent_seconds(row: AnyRow, moment: datetime) -> float:
    """Return the seconds since the lease was last renewed."""
    return float((moment - row.renewed).total_seconds())
