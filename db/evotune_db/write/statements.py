"""What several writes share: one row by its id, a row by its content, many rows, the time.

A statement is built once and then executed with parameters; building it again costs more than executing it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Select, Table, Update, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from evotune_db.errors import NotFoundError, NotPassed
from evotune_db.rows import AnyRow, Values
from evotune_db.schema.tables import trial

# A statement may have 32,766 parameters on SQLite and 65,535 on PostgreSQL. This many rows at once are about as fast.
CHUNK = 500

Item = TypeVar("Item")


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def only(connection: Connection, query: Select[*tuple[Any, ...]], what: str, row_id: int) -> AnyRow:
    """The one row of a query by id, which may name it as the parameter `row_id`.

    NotFoundError, saying `what` it was to be, when there is none.
    """
    row = connection.execute(query, {"row_id": row_id}).one_or_none()
    if row is None:
        raise not_found(what, row_id)
    return row


def not_found(what: str, row_id: int) -> NotFoundError:
    """What to raise where there is no row of that id, which was to be a `what`."""
    return NotFoundError(f"a {what} must be in the database, got {row_id}; `evotune searches` lists what is there")


def require_passed(connection: Connection, trial_id: int, purpose: str) -> None:
    """Locks a trial's row; NotPassed, saying what the trial was to be used for, when it has not passed."""
    query = select(trial.c.state).where(trial.c.id == trial_id).with_for_update()
    state = only(connection, query, "trial", trial_id).state
    if state != "passed":
        raise NotPassed(f"a trial to {purpose} must have passed, trial {trial_id} is {state}; {purpose} another")


def insert_row(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    """Inserts one row; returns its id."""
    key = connection.execute(table.insert(), values).inserted_primary_key
    assert key is not None, "an insert of one row has a key"
    return int(key[0])


def update_row(connection: Connection, table: Table, row_id: int, values: dict[str, Any]) -> None:
    """Sets columns of one row."""
    update_rows(connection, table, {row_id: values})


def update_rows(connection: Connection, table: Table, rows: Mapping[int, Values]) -> None:
    """Sets columns of rows by their ids, of all the same ones, in the order given."""
    if rows:
        connection.execute(_update(table), [{**values, "row_id": row_id} for row_id, values in rows.items()])


def in_chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """In their order, as many at once as may be parameters of one statement."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Inserts any number of rows, all with the same columns."""
    if rows:
        connection.execute(table.insert(), rows)


def insert_ready(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Inserts rows of values that are as the driver takes them: for those of which there are most.

    SQLAlchemy's own way of making them ready takes twice as long as all the rest of the insert.
    """
    if rows:
        connection.exec_driver_sql(_ready(connection.dialect.name, table, columns), list(rows))


def insert_new_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Inserts those of the rows that have a key that no other has; in their order."""
    if rows:
        connection.execute(_insert_if_new(connection.dialect.name, table), rows)


def insert_if_new(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Inserts one row unless another with one of its keys is there."""
    insert_new_rows(connection, table, (values,))


def find_by_content(connection: Connection, table: Table, column: str, content: str) -> int | None:
    """The id of the row with that content hash, None when there is none."""
    found: int | None = connection.execute(_find(table, column), {"content": content}).scalar()
    return found


def id_by_content(connection: Connection, table: Table, column: str, values: dict[str, Any]) -> int:
    """The id of the row with the content hash that `values` has in `column`, inserted if it is new."""
    found = find_by_content(connection, table, column, values[column])
    if found is None:
        insert_if_new(connection, table, values)
        found = int(connection.execute(_find(table, column), {"content": values[column]}).scalar_one())
    return found


def dialect_insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that takes an ON CONFLICT clause, which the two dialects spell alike."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _ready(dialect: str, table: Table, columns: tuple[str, ...]) -> str:
    mark = "?" if dialect == "sqlite" else "%s"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"


@cache
def _update(table: Table) -> Update:
    return table.update().where(table.c.id == bindparam("row_id"))


@cache
def _insert_if_new(dialect: str, table: Table) -> Insert:
    return dialect_insert(dialect, table).on_conflict_do_nothing()


@cache
def _find(table: Table, column: str) -> Select[int]:
    return select(table.c.id).where(table.c[column] == bindparam("content"))
