"""The cost of a write on SQLite does not grow with the number of recorded trials."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from evotune_db import Database
from evotune_db.records import NewTrial
from tests.support.db.examples import SEARCH, passed
from tests.support.db.new import make_sqlite


def steps(file: Path, statement: str) -> int:
    """Instructions of SQLite's machine that a statement takes, with foreign keys on as evotune has them."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        connection.set_progress_handler(step, 1)
        connection.execute(statement)
        connection.set_progress_handler(None, 1)
        connection.execute("ROLLBACK")
    return taken


def test_a_trials_new_state_does_not_read_every_entry_of_its_search(tmp_path: Path) -> None:
    file, taken = tmp_path / "evotune.db", []
    make_sqlite(file)
    with Database.open(str(file)) as database:
        search = database.start_search(SEARCH)
        waiting = database.add_trial(search, 0, {}, "waiting")
        for numbers in (range(1, 3), range(3, 200)):
            ids = database.add_trials(search, [NewTrial(number, {}, str(number)) for number in numbers])
            database.record_outcomes([(trial, passed()) for trial in ids])
            taken.append(steps(file, f"UPDATE trial SET state = 'measuring' WHERE id = {waiting}"))
    assert 0 < taken[1] <= taken[0] + 10
