"""Look-ups that reads and writes share: one row by its id, parameters in chunks, the database's time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, func, select

from evotune_db.errors import NotFoundError
from evotune_db.rows import AnyRow

# A statement may have 32,766 parameters on SQLite and 65,535 on PostgreSQL. This many rows at once are about as fast.
CHUNK = 500

Item = TypeVar("Item")


def one_row(connection: Connection, query: Select[*tuple[Any, ...]], kind: str, row_id: int) -> AnyRow:
    """Return the one row of a query by id, which may refer to the id as the parameter `row_id`.

    Raises NotFoundError, with `kind` in its text, when there is no such row.
    """
    row = connection.execute(query, {"row_id": row_id}).one_or_none()
    if row is None:
        raise not_found(kind, row_id)
    return row


def not_found(kind: str, row_id: int) -> NotFoundError:
    """Return the error for a missing row, where `kind` is "search" or "trial"."""
    return NotFoundError(f"a {kind} must be in the database, got {row_id}; `evotune searches` lists what is there")


def in_chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield the items in their order, as many at once as one statement may have as parameters."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


def database_time(connection: Connection) -> datetime:
    """Return the time of the server's clock, which all clients share; one machine alone uses an SQLite file."""
    if connection.dialect.name == "sqlite":
        return now()
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment
