"""Statements that several writes share: insert or update one row or many, and find a row by its content.

A statement is built once and then executed with parameters; building it again costs more than executing it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, Table, Update, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from evotune_db.errors import NotPassed
from evotune_db.lookups import one_row
from evotune_db.rows import Values
from evotune_db.schema.tables import trial


def require_passed(connection: Connection, trial_id: int, purpose: str) -> None:
    """Lock a trial's row; raises NotPassed, with the purpose in its text, when the trial has not passed."""
    query = select(trial.c.state).where(trial.c.id == trial_id).with_for_update()
    state = one_row(connection, query, "trial", trial_id).state
    if state != "passed":
        raise NotPassed(f"a trial to {purpose} must have passed, trial {trial_id} is {state}; {purpose} another")


def insert_row(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    """Insert one row; return its id."""
    key = connection.execute(table.insert(), values).inserted_primary_key
    assert key is not None, "an insert of one row has a key"
    return int(key[0])


def update_row(connection: Connection, table: Table, row_id: int, values: dict[str, Any]) -> None:
    """Set columns of one row."""
    update_rows(connection, table, {row_id: values})


def update_rows(connection: Connection, table: Table, rows: Mapping[int, Values]) -> None:
    """Set the same columns of each row by its id, in the order of the mapping."""
    if rows:
        connection.execute(_update(table), [{**values, "row_id": row_id} for row_id, values in rows.items()])


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert any number of rows, all with the same columns."""
    if rows:
        connection.execute(table.insert(), rows)


def insert_driver_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows whose values the driver takes as they are, for the table with the most rows.

    SQLAlchemy's own conversion of the values takes twice as long as all the rest of the insert.
    """
    if rows:
        connection.exec_driver_sql(_driver_insert(connection.dialect.name, table, columns), list(rows))


def insert_new_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert the rows in their order, and skip each row whose key is there already."""
    if rows:
        connection.execute(_insert_if_new(connection.dialect.name, table), rows)


def insert_if_new(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Insert one row unless another row has one of its keys."""
    insert_new_rows(connection, table, (values,))


def id_by_content(connection: Connection, table: Table, column: str, values: dict[str, Any]) -> int:
    """Return the id of the row with the content hash that `values` has in `column`; insert the row if it is new."""
    wanted = {"content": values[column]}
    found: int | None = connection.execute(_find(table, column), wanted).scalar()
    if found is None:
        insert_if_new(connection, table, values)
        found = int(connection.execute(_find(table, column), wanted).scalar_one())
    return found


def dialect_insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that takes an ON CONFLICT clause, which the two dialects spell alike."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _driver_insert(dialect: str, table: Table, columns: tuple[str, ...]) -> str:
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
