"""A database of an older evotune is brought to this one's tables with every row, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, create_engine, func, select, text

from evotune_db import Database, address
from evotune_db.records import HealthCheckRecord, LeaderboardFilter
from evotune_db.schema import migrate
from evotune_db.schema.column_types import to_json
from tests.support.db.examples import DEVICE, SEARCH, certification, diagnosis, failed, passed, record, timing
from tests.support.db.rows import write_rows

pytest_plugins = ["tests.support.db.fixtures"]
Rows = dict[str, list[dict[str, Any]]]
# The names of tables and columns before revision 0009.
OLD_NAMES = {"health_check": "canary", "unreliable_trial": "suspect", "health_check_id": "canary_id"}
# All that the tables of a database are read and written by.
DEFINITION = {
    "sqlite": "SELECT name, sql FROM sqlite_master ORDER BY name",
    "postgresql": "SELECT table_name, column_name, udt_name FROM information_schema.columns "
    "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
}
REFLECTED: dict[tuple[Any, ...], list[Table]] = {}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Return rows of every table, as searches leave them: see tests/support/db/rows.py."""
    file = str(tmp_path_factory.mktemp("new") / "new.db")
    with Database.open(file) as database:
        write_rows(database)
    with connected(file) as connection:
        return everything(connection)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a transaction on a database, without evotune's own pragmas and migrations."""
    engine = create_engine(address.parse(url), json_serializer=to_json)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def revisions() -> list[str]:
    """All that there are, the newest first."""
    with connected("sqlite://") as connection:
        scripts = ScriptDirectory.from_config(migrate.configuration(connection))
    return [script.revision for script in scripts.walk_revisions()]


NEWEST, *OLDER = REVISIONS = revisions()
OLDEST = OLDER[-1]


def tables(connection: Connection) -> list[Table]:
    """Return the tables that a database has, parents first; reflected once for all databases of equal definition."""
    definition = tuple(map(tuple, connection.exec_driver_sql(DEFINITION[connection.dialect.name])))
    if definition not in REFLECTED:
        metadata = MetaData()
        metadata.reflect(connection)
        REFLECTED[definition] = [table for table in metadata.sorted_tables if table.name != migrate.VERSION_TABLE]
    return REFLECTED[definition]


def everything(connection: Connection) -> Rows:
    """Every row of every table, in the order of their keys; moments without their zone, as SQLite keeps them."""
    found = {}
    for table in tables(connection):
        rows = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        found[table.name] = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return found


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value


def held(rows: Rows, connection: Connection) -> Rows:
    """Return the part of the rows that fits a database's revision: rows of its tables, in its columns."""
    there = {table.name: table for table in tables(connection)}
    return {
        name: [
            {column: value for column, value in _as_then(row, there).items() if column in table.columns}
            for row in rows[new]
            if _fits(row, table, there)
        ]
        for new in rows
        for name, table in there.items()
        if name in (new, OLD_NAMES.get(new))
    }


def _fits(row: dict[str, Any], table: Table, there: dict[str, Table]) -> bool:
    """Two kinds of rows are younger than their tables: evidence that is unreliable, stages that were not compared."""
    if table.name == "diagnosis":
        return "reason" in table.columns or row["reason"] is None
    return not there.keys().isdisjoint(("suspect", "unreliable_trial")) or row.get("phase") != "suspect"


def _as_then(row: dict[str, Any], there: dict[str, Table]) -> dict[str, Any]:
    """Before there were certifications, `certified` was a column already, and never true."""
    if "health_check" not in there:
        row = {OLD_NAMES.get(column, column): value for column, value in row.items()}
    return row if "certification" in there or "certified" not in row else {**row, "certified": False}


def upgraded(old: Rows, rows: Rows) -> Rows:
    """Return an older revision's rows in today's tables; new ones are empty but an entry's build, the timing's."""
    today = {name: new for new, name in OLD_NAMES.items()}
    old = {today.get(name, name): [{today.get(c, c): v for c, v in row.items()} for row in old[name]] for name in old}
    found = {name: [dict.fromkeys(new[0]) | row for row in old.get(name, [])] for name, new in rows.items()}
    for entry, new in zip(found["leaderboard"], rows["leaderboard"], strict=True):
        entry["build_id"] = new["build_id"]
    return found


def make_old(url: str, revision: str, rows: Rows) -> Rows:
    """Make a database of that revision, fill it with those of the rows that it has room for, and return these."""
    if address.parse(url).get_backend_name() == "sqlite":
        Path(url).write_bytes(old_file(revision))
    with connected(url) as connection:
        command.upgrade(migrate.configuration(connection), revision)
        old = held(rows, connection)
        for table in tables(connection):
            if old[table.name]:
                connection.execute(table.insert(), old[table.name])
                count_on(connection, table)
    return old


@cache
def old_file(revision: str) -> bytes:
    """Return an SQLite file of that revision without rows, made once: the migrations rebuild its tables."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "old.db"
        if revision != OLDEST:
            file.write_bytes(old_file(REVISIONS[REVISIONS.index(revision) + 1]))
        with connected(str(file)) as connection:
            command.upgrade(migrate.configuration(connection), revision)
        return file.read_bytes()


def count_on(connection: Connection, table: Table) -> None:
    """PostgreSQL numbers new rows without a look at those that came with their ids."""
    if connection.dialect.name == "postgresql" and "id" in table.columns:
        sequence = func.pg_get_serial_sequence(table.name, "id")
        connection.execute(select(func.setval(sequence, select(func.max(table.c.id)).scalar_subquery())))


def assert_sound(connection: Connection) -> None:
    """SQLite was not asked to enforce foreign keys meanwhile; PostgreSQL always does."""
    if connection.dialect.name == "sqlite":
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]


def test_the_rows_are_of_every_table_and_fill_every_column(rows: Rows) -> None:
    assert [name for name, those in rows.items() if not those] == []
    columns = {(name, column): [row[column] for row in those] for name, those in rows.items() for column in those[0]}
    assert [column for column, values in columns.items() if set(map(repr, values)) == {"None"}] == []


@pytest.mark.parametrize("revision", OLDER)
def test_an_older_database_keeps_every_row_and_goes_on(url: str, revision: str, rows: Rows) -> None:
    old = make_old(url, revision, rows)
    Database.open(url).close()
    with connected(url) as connection:
        assert everything(connection) == upgraded(old, rows)
        assert_sound(connection)
    with Database.open(url) as database:
        assert [entry.trial for entry in database.leaderboard(LeaderboardFilter())] == [5, 5, 1]
        assert database.record_certification(1, certification()) == ("mission",)
        assert database.trial(1).leaderboard[0].certified
        assert record(database, 1, 8, passed(timing(3.0))) == 10
        assert database.load_search(1).trials[8].state == "passed"


def test_each_downgrade_keeps_every_row_that_the_older_revision_has(url: str, rows: Rows) -> None:
    make_old(url, NEWEST, rows)
    for revision in OLDER:
        with connected(url) as connection:
            command.downgrade(migrate.configuration(connection), revision)
            old = held(rows, connection)
            assert everything(connection) == old
            assert_sound(connection)
    Database.open(url).close()
    with connected(url) as connection:
        assert everything(connection) == upgraded(old, rows)


def test_an_entry_that_someone_marked_as_certified_is_not_after_the_upgrade(url: str, rows: Rows) -> None:
    make_old(url, "0002", rows)
    with connected(url) as connection:
        connection.execute(text("UPDATE leaderboard SET certified = true"))
    with Database.open(url) as database:
        assert [entry.certified for entry in database.leaderboard(LeaderboardFilter())] == [False] * 3


@pytest.mark.parametrize("revision", [NEWEST, "0007"])
def test_scripts_read_health_checks_under_their_old_names(url: str, revision: str, rows: Rows) -> None:
    make_old(url, revision, rows)
    Database.open(url).close()
    joined = "SELECT suspect.id, canary.worker, canary.made FROM suspect JOIN canary ON canary.id = suspect.canary_id"
    with connected(url) as connection:
        found = {name: connection.execute(text(f"SELECT * FROM {name} ORDER BY id")) for name in ("canary", "suspect")}
        columns = {name: list(result.keys()) for name, result in found.items()}
        ids = {name: [row.id for row in result] for name, result in found.items()}
        assert len(connection.execute(text(joined)).all()) == len(rows["unreliable_trial"])
    for new in ("health_check", "unreliable_trial"):
        assert columns[OLD_NAMES[new]] == [OLD_NAMES.get(column, column) for column in rows[new][0]]
        assert ids[OLD_NAMES[new]] == [row["id"] for row in rows[new]]


def test_health_checks_after_an_upgrade_get_new_ids(url: str, rows: Rows) -> None:
    make_old(url, "0008", rows)
    with Database.open(url) as database:
        check = HealthCheckRecord(1, "gpu 0", DEVICE, "good", None, 2.5, {})
        assert database.record_health_check(1, check) == len(rows["health_check"]) + 1


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
        command.downgrade(migrate.configuration(connection), "0003")
    with Database.open(url) as database:
        assert database.trial(trial).diagnoses == (kept,)
        database.record_diagnosis(trial, (diagnosis("merge"), unseen))
