"""A search belongs to the process that runs it, on the command line too."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from evotune.cli import run
from evotune.search.lease import SearchLease
from evotune_db import Database, LeaseHeld
from evotune_db.schema.lease_table import lease
from tests.support.db.examples import SEARCH
from tests.support.db.new import make_sqlite


def silent(text: str) -> None:
    raise AssertionError(f"nothing was to be told, got {text}")


def renewed(database: Database) -> object:
    with database._engines.read.begin() as connection:
        return connection.execute(select(lease.c.renewed)).scalar_one_or_none()


def test_a_search_that_another_process_runs_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_sqlite(tmp_path / "evotune.db")
    with Database.open("evotune.db") as database, SearchLease(database, silent) as search_lease:
        search_lease.take(database.start_search(SEARCH))
        assert run(["search", "--resume", "1", "--db", "evotune.db"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: a search is run by one process at a time, search 1 is run by process")
    assert told.count("\n") == 1


def test_the_lease_is_renewed_while_held_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evotune.search.lease.RENEW_SECONDS", 0.02)
    make_sqlite(tmp_path / "evotune.db")
    with Database.open(str(tmp_path / "evotune.db")) as database:
        with SearchLease(database, silent) as search_lease:
            search_lease.take(database.start_search(SEARCH))
            first = renewed(database)
            time.sleep(0.2)
            assert renewed(database) != first is not None
        assert renewed(database) is None


def test_a_lease_that_was_refused_leaves_the_other_ones_lease(tmp_path: Path) -> None:
    make_sqlite(tmp_path / "evotune.db")
    file = str(tmp_path / "evotune.db")
    with Database.open(file) as database, Database.open(file) as late, SearchLease(database, silent) as search_lease:
        search_lease.take(database.start_search(SEARCH))
        with pytest.raises(LeaseHeld), SearchLease(late, silent) as second:
            second.take(1)
        assert renewed(database) is not None
