"""Acquire, renew and release the lease of a search: only the process with the lease may write to that search.

A row means the same on SQLite and on PostgreSQL, names the process, and outlasts a lost connection. An advisory lock or
a lock file does not. A process that was paused for too long learns of it at its next write, which is refused in the
same transaction. Two processes can therefore never both write (the fencing of Kleppmann, "Designing Data-Intensive
Applications", chapter 8).

The row also names the last write under the lease. When a connection is lost during a commit, the row tells if the
write was committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, Connection, Update, bindparam, delete, func, select, update

from evotune_db import lease_status
from evotune_db.errors import LeaseHeld, LeaseLost
from evotune_db.lookups import database_time, now, one_row
from evotune_db.process_identity import ProcessIdentity
from evotune_db.rows import AnyRow
from evotune_db.schema.lease_table import lease
from evotune_db.schema.tables import search
from evotune_db.write.statements import insert_row


@dataclass(frozen=True)
class Lease:
    """The search and the token by which a process finds its row again."""

    search: int
    token: str


@dataclass(frozen=True)
class CommittedWrite:
    """A write that was committed, and the id that it made."""

    result: int | None


def acquire(connection: Connection, wanted: Lease, owner: ProcessIdentity) -> None:
    """Give the lease to the process `owner`; raises LeaseHeld when another process has it."""
    # Lock the search's row, since there may be no row of the lease yet to lock against another process.
    locked = select(search.c.id).where(search.c.id == wanted.search).with_for_update()
    one_row(connection, locked, "search", wanted.search)
    row = connection.execute(select(lease).where(lease.c.search_id == wanted.search)).one_or_none()
    moment = database_time(connection)
    if row is not None:
        _require_lapsed(row, owner, moment)
        connection.execute(delete(lease).where(lease.c.search_id == wanted.search))
    process = {name: getattr(owner, name) for name in ("host", "machine", "process", "born")}
    insert_row(connection, lease, {**process, "search_id": wanted.search, "token": wanted.token, "renewed": moment})


def note_write(connection: Connection, held: Lease, write: str, result: int | None) -> None:
    """Record a write under the lease, the last statement of its transaction; raises LeaseLost when it was taken."""
    noted: dict[str, object] = {"written": write, "result": result, "of_search": held.search, "of_token": held.token}
    if connection.dialect.name == "sqlite":
        noted["renewed"] = now()
    _require_held(connection.execute(_note(connection.dialect.name), noted).rowcount, held)


def find_write(connection: Connection, held: Lease, write: str) -> CommittedWrite | None:
    """Return the last write under the lease if it was this one.

    Waits for the transaction of that write if it has not ended yet.
    """
    query = select(lease.c.written, lease.c.result).where(_row(held)).with_for_update()
    row = connection.execute(query).one_or_none()
    return CommittedWrite(row.result) if row is not None and row.written == write else None


def renew(connection: Connection, held: Lease) -> None:
    """Record that the process is alive; raises LeaseLost when another process has taken the lease."""
    renewed = update(lease).where(_row(held)).values(renewed=database_time(connection))
    _require_held(connection.execute(renewed).rowcount, held)


def release(connection: Connection, held: Lease) -> None:
    """Release the lease, unless another process has taken it already."""
    connection.execute(delete(lease).where(_row(held)))


def _require_lapsed(row: AnyRow, asking: ProcessIdentity, moment: datetime) -> None:
    if lease_status.has_lapsed(row, asking, moment):
        return
    rule = f"a search is run by one process at a time, search {row.search_id} is run by process {row.process}"
    if lease_status.owner_has_ended(row, asking) is False:
        raise LeaseHeld(f"{rule} on this machine; wait for it or end it, and try again")
    silent = max(0.0, lease_status.silent_seconds(row, moment))
    raise LeaseHeld(
        f"{rule} on {row.host}, last heard of {silent:.0f} s ago; wait for it or end it: after "
        f"{lease_status.LEASE_SECONDS:.0f} s of silence the search can be resumed"
    )


def _require_held(rows: int, held: Lease) -> None:
    if rows != 1:
        raise LeaseLost(
            f"a search is run by one process at a time, search {held.search} was taken over by another; "
            "this one stops, what it recorded before is kept"
        )


def _row(held: Lease) -> ColumnElement[bool]:
    return (lease.c.search_id == held.search) & (lease.c.token == held.token)


@cache
def _note(dialect: str) -> Update:
    """Build the statement once, without a query for the time, since every write of a search ends with it."""
    own = (lease.c.search_id == bindparam("of_search")) & (lease.c.token == bindparam("of_token"))
    noted = update(lease).where(own)
    return noted if dialect == "sqlite" else noted.values(renewed=func.clock_timestamp())
