"""The errors of a database, each with one line of text: the rule, the value, what to do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

TOO_LARGE = "a whole number must fit into 64 bits, got a larger one for {shown}; choose a smaller one"
SQLITE_RULES = {
    "SQLITE_NOTADB": "a database must be an SQLite file or a postgresql:// URL, got {shown}, which is another kind of "
    "file; name another with --db",
    "SQLITE_CORRUPT": "a database must be intact, got {shown}, which is damaged; restore a copy of it, or name another "
    "with --db",
    "SQLITE_FULL": "the disk must have room for the database, got {shown} on a full one; free space and try again, "
    "what was recorded before is kept",
    "SQLITE_IOERR": "a database must be readable and writable, got {shown}, on which reading or writing failed; check "
    "the disk for space, quota and errors and try again, what was recorded before is kept",
    "SQLITE_READONLY": "a database must be writable, got {shown}; change its and its folder's permissions, or name "
    "another with --db",
    "SQLITE_BUSY": "one process at a time may write, got {shown}, held by another for too long; wait for it or end it, "
    "and try again",
}
POSTGRESQL_RULES = {
    "22003": TOO_LARGE,
    "42501": "the user must be allowed to create and write tables, got {shown}, where they may not; GRANT it, or name "
    "another user in the URL",
    "53100": "the server's disk must have room, got {shown} on a full one; free space and try again, what was recorded "
    "before is kept",
    "57P": "the server must stay up, got {shown}, which shut down; start it and try again, what was recorded before is "
    "kept",
}
# SQLSTATEs that may pass: a connection broke or was refused, the server stops or starts, a deadlock was ended.
PASSING_STATES = ("08", "57P", "53300", "25P03", "40001", "40P01")


class DatabaseError(Exception):
    """The database, or a request to it, is at fault; the text is one line that says what to do."""


class NotFoundError(DatabaseError):
    """The database has no such search or trial."""


class NotPassed(DatabaseError):
    """A step needs a trial that has passed, and this trial has not."""


class ConnectionLost(DatabaseError):
    """The database server does not answer, or is starting; the same request may succeed later."""


class LeaseHeld(DatabaseError):
    """Another process runs the search."""


class LeaseLost(DatabaseError):
    """Another process has taken the search over."""


@contextmanager
def as_database_errors(shown: str) -> Iterator[None]:
    """Raise SQLAlchemy's errors inside as DatabaseError; `shown` names the database without its password."""
    try:
        yield
    except (SQLAlchemyError, OverflowError) as error:
        kind = ConnectionLost if _is_passing(error) else DatabaseError
        raise kind(_line(error, shown)) from error


def _is_passing(error: Exception) -> bool:
    """Return True if PostgreSQL raised the error, and it may pass: a connection broke, or the server was busy."""
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(state.startswith(PASSING_STATES))
    return error.connection_invalidated or error.statement is None


def _line(error: Exception, shown: str) -> str:
    cause = error.orig if isinstance(error, StatementError) else error
    if isinstance(cause, sqlite3.Error):
        return _sqlite_line(cause, shown)
    if isinstance(cause, OverflowError):
        return TOO_LARGE.format(shown=shown)
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return _by_prefix(POSTGRESQL_RULES, state, shown) or _other(cause, shown)
    if isinstance(error, DBAPIError) and (error.connection_invalidated or error.statement is None):
        reason = _first_line(cause)
        return f"a database server must take the connection, got {shown}: {reason}; start it, or correct the URL"
    return _other(cause, shown)


def _sqlite_line(error: sqlite3.Error, shown: str) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_CANTOPEN"):
        return _cannot_open(shown)
    return _by_prefix(SQLITE_RULES, code, shown) or _other(error, shown)


def _cannot_open(shown: str) -> str:
    path = Path(shown)
    if path.is_dir():
        return f"a database must be a file, got the folder {shown}; name a file in it"
    if not path.parent.is_dir():
        return f"a database's folder must exist, got {shown}; create it: mkdir -p {path.parent}"
    if not os.access(path.parent, os.W_OK):
        return f"a database's folder must be writable, got {shown}; change its permissions, or name another with --db"
    return f"a database must be a file that can be opened, got {shown}; check its permissions, or name another"


def _by_prefix(rules: dict[str, str], code: str, shown: str) -> str | None:
    return next((rule.format(shown=shown) for prefix, rule in rules.items() if code.startswith(prefix)), None)


def _other(cause: BaseException | None, shown: str) -> str:
    reason = _first_line(cause)
    return f"the database must accept what is asked of it, got a refusal from {shown}: {reason}; nothing was written"


def _first_line(cause: BaseException | None) -> str:
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
