"""A colleague's record: an SQLite file that this user may read and not write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command

from evotune_db import Database
from evotune_db.errors import DatabaseError
from evotune_db.schema.migrate import configuration
from tests.integration.db.test_upgrade import connected
from tests.support.db.examples import SEARCH
from tests.support.db.new import make_sqlite

NOBODY = 65534


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Record a search in a file whose name means something else in a URL."""
    file = tmp_path / "a folder" / "record?%20#1.db"
    file.parent.mkdir()
    make_sqlite(file)
    with Database.open(str(file)) as database:
        database.start_search(SEARCH)
    return file


@contextmanager
def of_another_user(file: Path) -> Iterator[None]:
    """Let this process only read the file and its folder; root, whom permissions do not bind, asks as nobody."""
    modes = {path: path.stat().st_mode for path in (file, file.parent)}
    file.chmod(0o444)
    file.parent.chmod(0o555)
    user = os.getuid()
    if user == 0:
        os.setreuid(NOBODY, 0)
    try:
        yield
    finally:
        if user == 0:
            os.setreuid(user, 0)
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_record_that_may_only_be_read_is_read_and_refuses_a_write_in_one_line(recorded: Path) -> None:
    with of_another_user(recorded), Database.open(str(recorded)) as database:
        assert len(database.searches()) == 1
        with pytest.raises(DatabaseError, match="a database must be writable, got ") as refused:
            database.start_search(SEARCH)
    assert "\n" not in str(refused.value)
    assert [path.name for path in recorded.parent.iterdir()] == [recorded.name]


def test_what_its_writer_records_meanwhile_is_read_too(recorded: Path) -> None:
    with Database.open(str(recorded)) as writing:
        writing.start_search(SEARCH)
        with of_another_user(recorded), Database.open(str(recorded)) as database:
            assert len(database.searches()) == 2


def test_an_older_record_that_may_only_be_read_is_refused_in_one_line(recorded: Path) -> None:
    with connected(str(recorded)) as connection:
        command.downgrade(configuration(connection), "0008")
    with of_another_user(recorded), pytest.raises(DatabaseError, match="a database must be writable, got ") as refused:
        Database.open(str(recorded))
    assert "\n" not in str(refused.value)
