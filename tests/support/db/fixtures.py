"""Fixtures of tests that run on SQLite and on PostgreSQL alike; a module takes them by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evotune_db import Database
from tests.support.db.client import POSTGRESQL, SQLITE, Client
from tests.support.db.new import make_sqlite
from tests.support.db.server import Server, programs_or_skip, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a PostgreSQL server for all tests of this process."""
    with running_server(programs_or_skip()) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables, or without rows where a test takes `database` too."""
    has_tables = "database" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "evotune.db"
        if has_tables:
            make_sqlite(file)
        return str(file)
    running: Server = request.getfixturevalue("server")
    return running.new_database(running.migrated) if has_tables else running.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """One without rows."""
    with Database.open(url) as opened:
        yield opened


@pytest.fixture(scope="module", params=[*SQLITE, POSTGRESQL])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a client of a new database that a module's tests share."""
    if request.param != POSTGRESQL:
        return Client(str(tmp_path_factory.mktemp("client") / "evotune.db"), request.param)
    running: Server = request.getfixturevalue("server")
    return Client(running.new_database(), request.param)
