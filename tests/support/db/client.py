"""A client that knows nothing of evotune: SQL of any kind, in a transaction that is taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import IntegrityError

from evotune_db import address

# SQLite enforces foreign keys only for clients that ask for it, which its own shell does not.
SQLITE = ("sqlite without foreign keys", "sqlite")
POSTGRESQL = "postgresql"
sqlite_only = pytest.mark.parametrize("client", SQLITE, indirect=True)


@dataclass(frozen=True)
class Client:
    """A client of the database of that URL; `kind` is one of the above."""

    url: str
    kind: str

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a connection; whatever is written there is rolled back."""
        engine = create_engine(address.parse(self.url))
        if self.kind in SQLITE:
            event.listen(engine, "connect", self._set_up)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def _set_up(self, connection: sqlite3.Connection, _: object) -> None:
        # Left to itself the driver begins no transaction for a savepoint, whose release then is a commit.
        connection.isolation_level = None
        connection.execute(f"PRAGMA foreign_keys = {SQLITE.index(self.kind)}").close()


def execute(raw: Connection, statement: str, **values: object) -> None:
    raw.execute(text(statement), values)


@contextmanager
def refused(raw: Connection, match: str | None = None) -> Iterator[None]:
    """Assert that the statement inside breaks a rule of the database itself; the transaction goes on as before."""
    with pytest.raises(IntegrityError, match=match), raw.begin_nested():
        yield


def copy_row(raw: Connection, table: str, where: str, **changed: str) -> None:
    """Insert a row again, with some columns changed."""
    columns = [column["name"] for column in inspect(raw).get_columns(table)]
    values = ", ".join(changed.get(name, name) for name in columns)
    execute(raw, f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where}")
