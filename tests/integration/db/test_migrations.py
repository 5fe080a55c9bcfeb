"""Migrations lead to the tables of a new database, and a database that is up to date costs nothing to open.

On both databases, but for what an SQLite file is alone in: it is one program's, and the disk may be too small for it.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from evotune_db import Database, DatabaseError, address
from evotune_db.schema import migrate
from evotune_db.schema.tables import metadata
from tests.support.paths import ROOT

pytest_plugins = ["tests.support.db.fixtures"]
OPEN = f"import sys; sys.path.insert(0, {str(ROOT / 'db')!r}); from evotune_db import Database, DatabaseError"
# The definition of everything by name, but of indexes that constraints imply; on PostgreSQL a row for each column,
# constraint and index.
SQLITE = "SELECT name, sql FROM sqlite_master WHERE sql <> ''"
POSTGRESQL = """
SELECT table_name, concat_ws(' ', column_name, data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT relname, concat_ws(' ', conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a transaction on a database, without evotune's own migrations."""
    engine = create_engine(address.parse(url))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def definitions(url: str) -> dict[str, list[str]]:
    """Return the sorted clauses of the definition of each table, index, view and trigger, by name."""
    found: dict[str, list[str]] = {}
    with connected(url) as connection:
        rows = connection.exec_driver_sql(SQLITE if connection.dialect.name == "sqlite" else POSTGRESQL)
        for name, definition in rows:
            found[name] = sorted([*found.get(name, ()), *clauses(definition)])
    return found


def clauses(sql: str) -> list[str]:
    # SQLite quotes the name of a table that was renamed.
    return [re.sub(r"\s+", " ", line).strip().rstrip(",").replace('"', "") for line in sql.splitlines()]


def make_old(url: str, revision: str) -> None:
    with connected(url) as connection:
        command.upgrade(migrate.configuration(connection), revision)


def test_the_migrations_lead_to_what_a_new_database_has(url: str) -> None:
    make_old(url, "head")
    migrated = definitions(url)
    assert migrated.keys() >= {*metadata.tables, migrate.VERSION_TABLE}
    with connected(url) as connection:
        metadata.drop_all(connection)
        migrate.version.drop(connection)
    assert definitions(url) == {}
    Database.open(url).close()
    assert definitions(url) == migrated
    with connected(url) as connection:
        assert migrate.revision(connection, url) == migrate.HEAD


def test_a_database_whose_migrations_were_all_taken_back_counts_as_new(url: str) -> None:
    make_old(url, "0001")
    with connected(url) as connection:
        command.downgrade(migrate.configuration(connection), "base")
    Database.open(url).close()
    assert definitions(url).keys() >= metadata.tables.keys()


def test_the_revision_that_code_expects_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "evotune_db:schema/migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_a_newer_database_is_refused_and_left_alone(url: str) -> None:
    Database.open(url).close()
    with connected(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = definitions(url)
    with pytest.raises(DatabaseError, match=r"revision 9999: a newer evotune wrote it; upgrade evotune"):
        Database.open(url)
    assert definitions(url) == before


def test_an_sqlite_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A PostgreSQL database may be shared: see test_server.py."""
    file = tmp_path / "photos.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(DatabaseError, match=r"photos.db with another program's tables \(photos\)"):
        Database.open(str(file))
    assert list(definitions(str(file))) == ["photos"]


@pytest.mark.parametrize("revision", [None, "0001"])
def test_an_sqlite_file_for_whose_tables_the_disk_is_too_small_stays_as_it_was(
    tmp_path: Path, revision: str | None
) -> None:
    file = str(tmp_path / "evotune.db")
    if revision is not None:
        make_old(file, revision)
    before = definitions(file)
    script = f"""
import resource
{OPEN}
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    Database.open({file!r})
except DatabaseError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "free space" in done.stdout or "check the disk for space" in done.stdout
    assert definitions(file) == before
    Database.open(file).close()


def test_opening_an_up_to_date_database_does_not_import_alembic(url: str) -> None:
    Database.open(url).close()
    script = f"{OPEN}; Database.open({url!r}).close(); print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
