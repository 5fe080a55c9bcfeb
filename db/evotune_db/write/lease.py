"""One process at a time runs a search: a row says which, and every write of its checks that it still does.

A row and no advisory lock or lock file, because it means the same on SQLite and on PostgreSQL, says who holds it, and
outlasts a lost connection. On its own machine a process that has ended is known at once; one of another machine has
lost its lease when it has not renewed it for LEASE_SECONDS by the database's clock. A process that was only held up
that long finds out at its next write, which is refused in the same transaction: two can never both write (the fencing
of M. Kleppmann, "Designing Data-Intensive Applications", chapter 8).

The row also names the holder's last write. When a connection is lost during a commit, that tells whether it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, Connection, Row, Update, bindparam, delete, func, select, update

from evotune_db.errors import DatabaseError
from evotune_db.holder import Holder
from evotune_db.schema.lease_table import lease
from evotune_db.schema.tables import search
from evotune_db.write.statements import insert_row, now, only

# Longer than a lost connection is waited for (retry.py), so that its end finds the lease as it was.
LEASE_SECONDS = 120.0


# What says who holds a search, beside any other column; nothing of it where nobody does.
HOLDER = (lease.c.host, lease.c.machine, lease.c.process, lease.c.born, lease.c.renewed)


class LeaseHeld(DatabaseError):
    """Another process runs the search."""


class LeaseLost(DatabaseError):
    """Another process has taken the search over."""


@dataclass(frozen=True)
class Lease:
    """What the holder knows of its row."""

    search: int
    token: str


@dataclass(frozen=True)
class Written:
    """A write that was committed, and the id that it made."""

    result: int | None


def take(connection: Connection, wanted: Lease, holder: Holder) -> None:
    """Makes this process the one that runs the search; LeaseHeld when another does."""
    # The search's row, since there may be none of the lease yet to be locked against another who takes it.
    only(connection, select(search.c.id).where(search.c.id == wanted.search).with_for_update(), "search", wanted.search)
    row = connection.execute(select(lease).where(lease.c.search_id == wanted.search)).one_or_none()
    moment = time_of(connection)
    if row is not None:
        _require_free(row, holder, moment)
        connection.execute(delete(lease).where(lease.c.search_id == wanted.search))
    mine = {name: getattr(holder, name) for name in ("host", "machine", "process", "born")}
    insert_row(connection, lease, {**mine, "search_id": wanted.search, "token": wanted.token, "renewed": moment})


def note_write(connection: Connection, held: Lease, write: str, result: int | None) -> None:
    """Books the holder's write, the last thing in its transaction; LeaseLost when it holds the search no more."""
    booked: dict[str, object] = {"written": write, "result": result, "of_search": held.search, "of_token": held.token}
    if connection.dialect.name == "sqlite":
        booked["renewed"] = now()
    _require_held(connection.execute(_note(connection.dialect.name), booked).rowcount, held)


def find_write(connection: Connection, held: Lease, write: str) -> Written | None:
    """The holder's last write if it was this one, waiting for its transaction should that not have ended."""
    query = select(lease.c.written, lease.c.result).where(_row(held)).with_for_update()
    row = connection.execute(query).one_or_none()
    return Written(row.result) if row is not None and row.written == write else None


def renew(connection: Connection, held: Lease) -> None:
    """Says that the holder is alive; LeaseLost when it holds the search no more."""
    renewed = update(lease).where(_row(held)).values(renewed=time_of(connection))
    _require_held(connection.execute(renewed).rowcount, held)


def release(connection: Connection, held: Lease) -> None:
    """Frees the search, unless another holds it already."""
    connection.execute(delete(lease).where(_row(held)))


def is_held(row: Row[*tuple[object, ...]], asking: Holder, moment: datetime) -> bool:
    """Whether a process runs the search, by a row with HOLDER; its end on another machine shows by its silence."""
    return row.renewed is not None and not _is_free(row, asking, moment)


def _require_free(row: Row[*tuple[object, ...]], asking: Holder, moment: datetime) -> None:
    if _is_free(row, asking, moment):
        return
    rule = f"a search is run by one process at a time, search {row.search_id} is run by process {row.process}"
    if _gone(row, asking) is False:
        raise LeaseHeld(f"{rule} on this machine; wait for it or end it, and try again")
    raise LeaseHeld(
        f"{rule} on {row.host}, last heard of {max(0.0, _silence(row, moment)):.0f} s ago; wait for it or end it: "
        f"after {LEASE_SECONDS:.0f} s without a word it may be gone on with"
    )


def _is_free(row: Row[*tuple[object, ...]], asking: Holder, moment: datetime) -> bool:
    gone = _gone(row, asking)
    return _silence(row, moment) >= LEASE_SECONDS if gone is None else gone


def _gone(row: Row[*tuple[object, ...]], asking: Holder) -> bool | None:
    return Holder(row.host, row.process, row.machine, row.born).gone(asking)


def _silence(row: Row[*tuple[object, ...]], moment: datetime) -> float:
    return float((moment - row.renewed).total_seconds())


def _require_held(rows: int, held: Lease) -> None:
    if rows != 1:
        raise LeaseLost(
            f"a search is run by one process at a time, search {held.search} was taken over by another; "
            "this one stops, what it recorded before is kept"
        )


def time_of(connection: Connection) -> datetime:
    """By the server's clock, which all its clients share; an SQLite file is used on one machine."""
    if connection.dialect.name == "sqlite":
        return now()
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def _row(held: Lease) -> ColumnElement[bool]:
    return (lease.c.search_id == held.search) & (lease.c.token == held.token)


@cache
def _note(dialect: str) -> Update:
    """Built once, and without a question for the time: every write of a search ends with it."""
    mine = (lease.c.search_id == bindparam("of_search")) & (lease.c.token == bindparam("of_token"))
    noted = update(lease).where(mine)
    return noted if dialect == "sqlite" else noted.values(renewed=func.clock_timestamp())
