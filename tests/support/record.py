"""Looking into the database of a search, also while it runs."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Protocol

ENDED = "SELECT count(*) FROM trial WHERE state IN ('passed', 'failed', 'built')"


def ask(database: Path, query: str) -> list[tuple[object, ...]]:
    """Return the rows that a query of an SQLite file gives."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


class Search(Protocol):
    """A process of its own."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""


def wait_for_trials(database: Path, wanted: int, process: Search) -> None:
    """Until that many trials of the process's search have ended; AssertionError when it ends before."""
    deadline = time.monotonic() + 120
    while ended(database) < wanted:
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline, f"fewer than {wanted} trials in two minutes"
        time.sleep(0.05)


def ended(database: Path) -> int:
    """Return the number of trials that have ended."""
    if not database.exists():
        return 0
    try:
        [(count,)] = ask(database, ENDED)
    except sqlite3.OperationalError:
        return 0  # its tables are not there yet
    assert isinstance(count, int)
    return count
