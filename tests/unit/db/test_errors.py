"""Errors that a user can correct are one line, which names the database and never its password."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from evotune_db import Database, DatabaseError, NotFoundError
from evotune_db.address import parse, shown
from evotune_db.records import LeaderboardFilter
from tests.support.db.examples import SEARCH, failed, passed, propose, record
from tests.support.db.new import make_sqlite
from tests.support.paths import ROOT


def refused(database: str) -> str:
    """Return the one line of the error that opening it raises."""
    with pytest.raises(DatabaseError) as caught:
        Database.open(database)
    told = str(caught.value)
    assert "\n" not in told and "sqlalchemy" not in told.lower()
    return told


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at as one\n" * 40)
    assert f"got {tmp_path / 'notes.txt'}, which is another kind of file" in refused(str(tmp_path / "notes.txt"))


def test_a_folder(tmp_path: Path) -> None:
    assert refused(str(tmp_path)) == f"a database must be a file, got the folder {tmp_path}; name a file in it"


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "evotune.db"
    assert refused(str(file)).endswith(f"create it: mkdir -p {file.parent}")
    assert refused(f"sqlite:///{file}") == refused(str(file))


def test_a_folder_that_cannot_be_written_to() -> None:
    assert "folder must be writable" in refused("/proc/self/evotune.db")


def test_a_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "evotune.db"
    Database.open(str(file)).close()
    content = file.read_bytes()
    file.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    assert "which is damaged; restore a copy" in refused(str(file))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "a database must be named"),
        ("mysql://user:secret@host/db", "must begin with sqlite:/// or postgresql://, got mysql://user:***@host/db"),
        ("postgres://user:secret@host/db", "must begin with sqlite:/// or postgresql://, got postgres://user:***@host"),
        ("postgresql://user:secret@host:port/db", "must read postgresql://user:password@host:port/name"),
        ("postgresql://user:sec@ret@host/db", "write @, :, / and ? in a password as %40"),
        (
            "postgresql://user:secret@127.0.0.1:9/db",
            "a database server must take the connection, got postgresql://user:***@",
        ),
        (
            "postgresql://user@127.0.0.1:9/db?password=secret",
            "must take the connection, got postgresql://user@127.0.0.1:9/db",
        ),
        ("postgresql://127.0.0.1:9", "must take the connection, got postgresql://127.0.0.1:9"),
    ],
)
def test_a_url_that_leads_nowhere(address: str, told: str) -> None:
    line = refused(address)
    assert told in line
    assert "secret" not in line and "ret@" not in line


@pytest.mark.parametrize(
    ("address", "database"),
    [
        ("evotune.db", "evotune.db"),
        ("/tmp/what?.db", "/tmp/what?.db"),
        ("sqlite:///evotune.db", "evotune.db"),
        ("sqlite:////tmp/evotune.db", "/tmp/evotune.db"),
        ("postgresql://user@host/name", "name"),
    ],
)
def test_a_path_and_a_url_name_the_same_file(address: str, database: str) -> None:
    assert parse(address).database == database


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("postgresql://me:pass@host:1/db?password=x") == "postgresql://me:***@host:1/db"
    assert shown("sqlite:////tmp/evotune.db") == "/tmp/evotune.db"
    assert shown("./evotune.db") == "./evotune.db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "evotune.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    make_sqlite(file)
    with Database.open(str(file)) as opened:
        yield opened


def test_a_search_or_a_trial_that_is_not_there(database: Database) -> None:
    requests: list[Callable[[int], object]] = [
        database.load_search,
        database.trial,
        lambda missing: database.resume_search(missing, 5),
        lambda missing: database.finish_search(missing, "finished"),
        lambda missing: propose(database, missing, 0),
        lambda missing: database.record_outcomes((), measuring=(missing,)),
        lambda missing: database.record_outcome(missing, failed()),
        lambda missing: database.record_outcomes(((missing, failed()),)),
    ]
    for request in requests:
        with pytest.raises(NotFoundError, match="must be in the database, got 99; `evotune searches` lists"):
            request(99)
    with pytest.raises(DatabaseError, match="64 bits"):
        database.trial(10**30)


def test_a_second_outcome_is_refused_and_the_first_kept(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, failed())
    before = database.trial(trial)
    with pytest.raises(
        DatabaseError, match=rf"trial {trial} has one already \(failed\); is search 1 running in another"
    ):
        database.record_outcome(trial, passed())
    with pytest.raises(DatabaseError, match="has one outcome"):
        database.record_outcomes((), measuring=(trial,))
    assert database.trial(trial) == before
    assert database.leaderboard(LeaderboardFilter()) == []


def test_a_write_that_finds_the_database_held_for_too_long(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evotune_db.engine.BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as holder, Database.open(str(file)) as impatient:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="one process at a time may write"):
            impatient.start_search(SEARCH)
        assert impatient.searches() == []


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert refused("postgresql://user:secret@host/db") == (
        "PostgreSQL needs the psycopg driver, got postgresql://user:***@host/db without it: "
        "pip install 'evotune[postgresql]'"
    )


def test_json_that_no_database_holds_is_one_line(database: Database) -> None:
    search = database.start_search(SEARCH)
    with pytest.raises(DatabaseError, match="Out of range float values are not JSON compliant") as caught:
        database.add_trial(search, 0, {"tile_m": float("nan")}, "key")
    assert "\n" not in str(caught.value) and database.load_search(search).trials == ()


def test_a_database_that_cannot_be_written_to(database: Database, file: Path) -> None:
    with Database.open(f"sqlite:///file:{file}?mode=ro&uri=true") as reader:
        assert reader.searches() == []
        with pytest.raises(DatabaseError, match="a database must be writable"):
            reader.start_search(SEARCH)


def test_a_full_disk_loses_only_what_was_being_written(file: Path) -> None:
    script = f"""
import resource, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "db")!r}]
from evotune_db import Database, DatabaseError
from tests.support.db.examples import SEARCH, passed, record
Database.open({str(file)!r}).close()  # the migrations' log must not count
database = Database.open({str(file)!r})
search = database.start_search(SEARCH)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
number = 0
try:
    while True:
        record(database, search, number, passed())
        number += 1
except DatabaseError as error:
    print(number, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    whole, _, told = done.stdout.partition(" ")
    assert "what was recorded before is kept" in told
    with Database.open(str(file)) as database:
        trials = database.load_search(1).trials
        assert [trial.state for trial in trials[: int(whole)]] == ["passed"] * int(whole) and int(whole) > 0
        assert len(database.leaderboard(LeaderboardFilter())) == int(whole)
        record(database, 1, len(trials), passed())
