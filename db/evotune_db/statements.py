"""What several writes share: one row by its id, a row by its content, the time.

A statement is built once and then executed with parameters; building it again costs more than executing it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, Update, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from evotune_db.errors import NotFoundError, NotPassed
from evotune_db.rows import AnyRow
from evotune_db.schema import trial


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def only(connection: Connection, query: Select[*tuple[Any, ...]], what: str, row_id: int) -> AnyRow:
    """The one row of a query by id, which may name it as the parameter `row_id`.

    NotFoundError, saying `what` it was to be, when there is none.
    """
    row = connection.execute(query, {"row_id": row_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"a {what} must be in the database, got {row_id}; `evotune searches` lists what is there")
    return row


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
    connection.execute(_update(table), {**values, "row_id": row_id})


def insert_if_new(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Inserts one row unless another with one of its keys is there."""
    connection.execute(dialect_insert(connection.dialect.name, table).on_conflict_do_nothing(), values)


def find_by_content(connection: Connection, table: Table, column: str, content: str) -> int | None:
    """The id of the row with that content hash, None when there is none."""
    found: int | None = connection.execute(_find(table, column), {"content": content}).scalar()
    return found


def insert_new(connection: Connection, table: Table, values: dict[str, Any]) -> int | None:
    """The id of the row that this inserts, None when another with one of its keys is there."""
    new: int | None = connection.execute(_insert_new(connection.dialect.name, table), values).scalar()
    return new


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
def _update(table: Table) -> Update:
    return table.update().where(table.c.id == bindparam("row_id"))


@cache
def _insert_new(dialect: str, table: Table) -> ReturningInsert[int]:
    return dialect_insert(dialect, table).on_conflict_do_nothing().returning(table.c.id)


@cache
def _find(table: Table, column: str) -> Select[int]:
    return select(table.c.id).where(table.c[column] == bindparam("content"))
