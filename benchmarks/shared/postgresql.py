"""Start a PostgreSQL server for a benchmark, with the code that the tests use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.db.server import find_programs, running_server


@contextmanager
def own_postgresql() -> Iterator[str]:
    """Start a server and yield the URL of a new database; exit with one line if PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        sys.exit("PostgreSQL must be installed, got no initdb; apt-get install postgresql")
    with running_server(programs, fsync=True) as server:
        yield server.new_database()
