"""Open a database: connect with the settings that SQLite or PostgreSQL needs, and apply missing migrations."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from evotune_db import address
from evotune_db.errors import DatabaseError, as_database_errors
from evotune_db.schema.column_types import to_json
from evotune_db.schema.migrate import migrate

# Another process's transaction takes milliseconds; a longer wait means that it is stuck.
BUSY_SECONDS = 30
CONNECT_SECONDS = 10
# Both sides give up a connection that is silent for this long, and the server frees its locks.
SILENT_SECONDS = 30
CLIENT_KEEPALIVES = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 1000 * SILENT_SECONDS,
}
SERVER_KEEPALIVES = (
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
    f"SET tcp_user_timeout = {1000 * SILENT_SECONDS}",
    f"SET idle_in_transaction_session_timeout = {1000 * SILENT_SECONDS}",
)
BEGIN = "evotune_begin"


@dataclass(frozen=True)
class Engines:
    """One pool of connections: `read` begins a transaction without a lock, `write` one that locks at once."""

    read: Engine
    write: Engine
    shown: str

    def close(self) -> None:
        """Close every connection."""
        self.read.dispose()


def open_engines(database: str) -> Engines:
    """Open the database of that path or URL, create it if it is a new SQLite file, and apply every migration.

    Raises DatabaseError with one line when it cannot be opened, is not evotune's, or was written by a newer evotune.
    """
    url, shown = address.parse(database), address.shown(database)
    with as_database_errors(shown):
        engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url, shown)
        engines = Engines(engine, engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"}), shown)
        try:
            migrate(engines.read, engines.write, shown)
        except BaseException:
            engines.close()
            raise
    return engines


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url, connect_args={"isolation_level": None, "timeout": BUSY_SECONDS}, json_serializer=to_json
    )
    event.listen(engine, "do_connect", _connect_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_sqlite(
    dialect: Any, record: Any, arguments: tuple[Any, ...], options: dict[str, Any]
) -> sqlite3.Connection:
    if (file := Path(arguments[0])).exists() and not _is_writable(file):
        return _connect_to_read(file, *arguments[1:], **options)
    connection: sqlite3.Connection = sqlite3.connect(*arguments, **options)
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA journal_mode = WAL")
            # In WAL mode this is safe against a crash of the process; a loss of power may cost the last transactions.
            cursor.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_writable(file: Path) -> bool:
    """Return True where SQLite can write: it makes files beside the database's."""
    return os.access(file, os.W_OK) and os.access(file.resolve().parent, os.W_OK)


def _connect_to_read(file: Path, *arguments: Any, **options: Any) -> sqlite3.Connection:
    """Connect to a file that may only be read; every write fails with SQLITE_READONLY.

    Without a write-ahead log beside it the file is complete. SQLite, which would make the log's index, is then told
    that nobody changes it (https://www.sqlite.org/wal.html#read_only_databases).
    """
    complete = "" if file.with_name(f"{file.name}-wal").exists() else "&immutable=1"
    location = f"{file.resolve().as_uri()}?mode=ro{complete}"
    connection: sqlite3.Connection = sqlite3.connect(location, *arguments, **options, uri=True)
    return connection


def _begin_sqlite(connection: Connection) -> None:
    """Begin a transaction, since the driver is told not to; one that writes takes the lock at its start.

    A lock that is taken only at the first write fails at once when another process has written since the first read.
    """
    connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))


def _postgresql(url: URL, shown: str) -> Engine:
    defaults = {"connect_timeout": CONNECT_SECONDS, **CLIENT_KEEPALIVES}
    options = {name: value for name, value in defaults.items() if name not in url.query}
    try:
        engine = create_engine(url, connect_args=options, json_serializer=to_json, pool_pre_ping=True)
    except ImportError as error:
        raise DatabaseError(
            f"PostgreSQL needs the psycopg driver, got {shown} without it: pip install 'evotune[postgresql]'"
        ) from error
    event.listen(engine, "connect", _limit_silence)
    return engine


def _limit_silence(connection: Any, record: Any) -> None:
    connection.execute("; ".join(SERVER_KEEPALIVES))
    connection.commit()
