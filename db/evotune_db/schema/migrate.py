"""Create this version's tables in a new database, and migrate an older one to them.

Alembic is imported only when a migration is missing: it takes longer than everything else here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, Engine, MetaData, PrimaryKeyConstraint, String, Table, inspect, select, text

from evotune_db.errors import DatabaseError
from evotune_db.schema.migrations.guards import AT_0003, create_guards
from evotune_db.schema.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0009"
VERSION_TABLE = "alembic_version"
# As Alembic defines it.
version = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
# Any number that others on the same server are unlikely to lock: "evotune" in ASCII.
ADVISORY_LOCK = int.from_bytes(b"evotune", "big")


def migrate(read: Engine, write: Engine, shown: str) -> None:
    """Create the tables or apply the missing migrations in one transaction; of several processes the first one does it.

    Raises DatabaseError when the tables belong to another program or to a newer evotune.
    """
    with read.connect() as connection:
        if revision(connection, shown) == HEAD:
            return
    with write.connect() as connection, foreign_keys_off(connection), connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        found = revision(connection, shown)
        if found is None:
            _create(connection)
        elif found != HEAD:
            _upgrade(connection, found, shown)


def revision(connection: Connection, shown: str) -> str | None:
    """Return the revision of the database, None for one without evotune's tables."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        return connection.execute(select(version.c.version_num)).scalar()
    taken = sorted(tables & set(metadata.tables)) if connection.dialect.name == "postgresql" else sorted(tables)
    if taken:
        raise DatabaseError(
            f"a database must be evotune's or empty, got {shown} with another program's tables "
            f"({', '.join(taken[:3])}); name another with --db"
        )
    return None


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Turn off foreign keys on SQLite, where dropping a table to rebuild it would count as deleting its rows.

    SQLite obeys only outside a transaction.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()


def configuration(connection: Connection) -> Config:
    """Return the configuration by which Alembic's commands work on this connection, in its transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "evotune_db:schema/migrations")
    config.attributes["connection"] = connection
    return config


def _create(connection: Connection) -> None:
    """Create at once what all migrations lead to; on SQLite they rebuild tables, which takes half a second."""
    metadata.create_all(connection, checkfirst=False)
    create_guards(connection, AT_0003)
    version.create(connection, checkfirst=True)
    connection.execute(version.insert().values(version_num=HEAD))


def _upgrade(connection: Connection, found: str, shown: str) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise DatabaseError(
            f"a database must be of this evotune's revision {HEAD} or older, got {shown} of revision {found}: a newer "
            "evotune wrote it; upgrade evotune, or name another database with --db"
        )
    command.upgrade(config, "head")
