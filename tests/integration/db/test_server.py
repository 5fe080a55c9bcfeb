"""A PostgreSQL server drops connections, refuses them, and is shared with other programs."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text

from evotune_db import Database, DatabaseError
from evotune_db.engine import open_engines
from evotune_db.errors import as_database_errors
from evotune_db.records import LeaderboardFilter
from tests.support.db.examples import SEARCH, passed, record
from tests.support.db.server import Server

pytest_plugins = ["tests.support.db.fixtures"]
ANY = LeaderboardFilter()


def test_a_server_that_refuses_is_one_line(server: Server) -> None:
    for url, told in ((server.url("missing"), 'database "missing" does not exist'), (server.url("postgres", "x"), "x")):
        with pytest.raises(DatabaseError, match=told) as caught:
            Database.open(url)
        assert "\n" not in str(caught.value)


def test_a_connection_that_was_dropped_is_taken_up_again(server: Server) -> None:
    url = server.new_database()
    drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with Database.open(url) as database:
        search = database.start_search(SEARCH)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"{drop} AND datname = current_database()".encode())
        record(database, search, 0, passed())
        assert len(database.leaderboard(ANY)) == 1


def test_a_server_that_shuts_down_in_the_middle_is_one_line(server: Server) -> None:
    engines = open_engines(server.new_database())
    try:
        shut_down = pytest.raises(DatabaseError, match="the server must stay up")
        with shut_down, as_database_errors("here"), engines.write.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    finally:
        engines.close()


def test_a_server_with_another_programs_tables_is_refused_only_where_names_clash(server: Server) -> None:
    url = server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    Database.open(url).close()
    url = server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE trial (id INTEGER)")
    with pytest.raises(DatabaseError, match=r"another program's tables \(trial\)"):
        Database.open(url)
