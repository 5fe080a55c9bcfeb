"""What migrations build is what the schema says, and a database that is up to date costs nothing to open."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from evotune_db import Database, DatabaseError, migration
from evotune_db.schema import metadata

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "evotune.db"
    Database.open(str(file)).close()
    return file


def definitions(file: Path) -> dict[str, list[str]]:
    """Every table and index of a database by name: the clauses of its definition, in no order."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql <> ''")
        return {name: clauses(sql) for name, sql in rows if name != migration.VERSION_TABLE}


def clauses(sql: str) -> list[str]:
    # SQLite quotes the name of a table that was renamed.
    return sorted(re.sub(r"\s+", " ", line).strip().rstrip(",").replace('"', "") for line in sql.splitlines())


def test_the_migrations_build_what_the_schema_says(migrated: Path, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert definitions(migrated) == definitions(tmp_path / "direct.db")


def test_the_revision_that_code_expects_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "evotune_db:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [migration.HEAD]


def test_a_newer_database_is_refused_and_left_alone(migrated: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(migrated, tmp_path))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = definitions(file)
    with pytest.raises(DatabaseError, match=r"revision 9999: a newer evotune wrote it; upgrade evotune"):
        Database.open(str(file))
    assert definitions(file) == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "photos.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(DatabaseError, match=r"photos.db with another program's tables \(photos\)"):
        Database.open(str(file))
    assert list(definitions(file)) == ["photos"]


def test_a_migration_that_runs_out_of_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "evotune.db"
    script = f"""
import resource, sys
sys.path.insert(0, {str(ROOT / "db")!r})
from evotune_db import Database, DatabaseError
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    Database.open({str(file)!r})
except DatabaseError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "free space" in done.stdout or "check the disk for space" in done.stdout
    assert definitions(file) == {}
    Database.open(str(file)).close()


def test_opening_an_up_to_date_database_does_not_import_alembic(migrated: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'db')!r}); from evotune_db import Database;"
        f"Database.open({str(migrated)!r}).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
