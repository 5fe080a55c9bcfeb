"""A database of an older evotune is brought to this one's tables with every row, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, create_engine, func, inspect, select, text

from evotune_db import Database, address, migration
from evotune_db.column_types import to_json
from evotune_db.records import LeaderboardFilter
from tests.db_examples import SEARCH, build, certification, diagnosis, failed, passed, propose, record, timing

pytest_plugins = ["tests.integration.db_fixtures"]
NEW_TABLES = {"certification", "certification_check", "profile", "diagnosis"}
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """What a search leaves: trials that are listed, confirmed, failed, twins, censored and unfinished."""
    file = str(tmp_path / "new.db")
    with Database.open(file) as database:
        search = database.start_search(SEARCH)
        listed = record(database, search, 0, passed())
        record(database, search, 1, failed())
        record(database, search, 2, passed(timing(censored=True)))
        record(database, search, 3, passed(same_binary_as=listed))
        confirmed = record(database, search, 4, passed(timing(1.5), timing(1.4, "long")))
        device = database.trial(confirmed).device
        assert device is not None
        rebuilt = timing(1.6, phase="confirm", build_key="rebuilt")
        database.record_confirmation(confirmed, device, (), (rebuilt,), True, None, builds=(build("rebuilt"),))
        propose(database, search, 5)
    with connected(file) as connection:
        return everything(connection)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A transaction on a database, without evotune's own pragmas and migrations."""
    engine = create_engine(address.parse(url), json_serializer=to_json)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def tables(connection: Connection) -> list[Table]:
    """The tables that a database has, parents first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != migration.VERSION_TABLE]


def everything(connection: Connection) -> Rows:
    """Every row of every table, in the order of their keys; moments without their zone, as SQLite keeps them."""
    found = {}
    for table in tables(connection):
        rows = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        found[table.name] = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return found


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value


def make_old(url: str, revision: str, rows: Rows) -> None:
    """A database of that revision with those of the rows' columns that it has."""
    with connected(url) as connection:
        command.upgrade(migration.configuration(connection), revision)
        for table in tables(connection):
            names = set(table.columns.keys())
            old = [{name: value for name, value in row.items() if name in names} for row in rows[table.name]]
            if old:
                connection.execute(table.insert(), old)
            if connection.dialect.name == "postgresql" and old and "id" in names:
                sequence = func.pg_get_serial_sequence(table.name, "id")
                connection.execute(select(func.setval(sequence, max(row["id"] for row in old))))


@pytest.mark.parametrize("revision", ["0001", "0002", "0005", "0006", "0007"])
def test_an_older_database_keeps_every_row_and_goes_on(url: str, revision: str, rows: Rows) -> None:
    make_old(url, revision, rows)
    with connected(url) as connection:
        assert (revision > "0002") == bool(NEW_TABLES & set(inspect(connection).get_table_names()))
    Database.open(url).close()
    with connected(url) as connection:
        assert everything(connection) == rows
        if connection.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
    with Database.open(url) as database:
        assert [entry.trial for entry in database.leaderboard(LeaderboardFilter())] == [5, 5, 1]
        assert database.record_certification(1, certification()) == ("mission",)
        assert database.trial(1).leaderboard[0].certified
        assert record(database, 1, 6, passed(timing(3.0))) == 7
        assert database.load_search(1).trials[6].state == "passed"


def test_an_entry_that_someone_marked_as_certified_is_not_after_the_upgrade(url: str, rows: Rows) -> None:
    make_old(url, "0002", rows)
    with connected(url) as connection:
        connection.execute(text("UPDATE leaderboard SET certified = true"))
    with Database.open(url) as database:
        assert [entry.certified for entry in database.leaderboard(LeaderboardFilter())] == [False] * 3


def test_a_database_without_rows_is_upgraded(url: str, rows: Rows) -> None:
    make_old(url, "0001", {name: [] for name in rows})
    with Database.open(url) as database:
        record(database, database.start_search(SEARCH), 0, passed())
        assert len(database.leaderboard(LeaderboardFilter())) == 1


def test_an_upgraded_sqlite_file_is_guarded_for_clients_without_foreign_keys(tmp_path: Path, rows: Rows) -> None:
    file = tmp_path / "old.db"
    make_old(str(file), "0002", rows)
    Database.open(str(file)).close()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in ("DELETE FROM trial", "DELETE FROM timing", "UPDATE leaderboard SET certified = 1"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)


def test_diagnoses_outlast_a_downgrade_and_an_upgrade_but_for_what_the_older_tables_cannot_hold(url: str) -> None:
    kept = diagnosis()
    with Database.open(url) as database:
        trial = record(database, database.start_search(SEARCH), 0, failed())
        unseen = replace(diagnosis("output", wrong=0), passed=False, reason="it died")
        database.record_diagnosis(trial, (replace(kept, distribution="peaky", seed=3), diagnosis("merge"), unseen))
    with connected(url) as connection:
        command.downgrade(migration.configuration(connection), "0003")
    with Database.open(url) as database:
        assert database.trial(trial).diagnoses == (kept,)
        database.record_diagnosis(trial, (diagnosis("merge"), unseen))


def test_a_downgrade_and_an_upgrade_give_the_same_rows(url: str, rows: Rows) -> None:
    make_old(url, "0002", rows)
    with Database.open(url) as database:
        database.record_certification(1, certification())
    with connected(url) as connection:
        command.downgrade(migration.configuration(connection), "0002")
        assert not NEW_TABLES & {table.name for table in tables(connection)}
    Database.open(url).close()
    with connected(url) as connection:
        assert everything(connection) == rows
