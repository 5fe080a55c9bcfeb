"""A writer that is killed, and readers beside one that is not."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from evotune_db import Database
from evotune_db.records import LeaderboardFilter
from tests.support.db.examples import SEARCH, passed, record
from tests.support.db.writer import start_writer


@pytest.mark.parametrize("trials_seen", [1, 7])
def test_a_killed_writer_leaves_whole_trials_and_a_sound_file(tmp_path: Path, trials_seen: int) -> None:
    file = tmp_path / "evotune.db"
    with start_writer(str(file), 10_000) as writer:
        assert writer.stdout is not None
        for _ in range(trials_seen):
            writer.stdout.readline()
        # Somewhere in the middle of a later trial.
        time.sleep(0.0017 * trials_seen)
        writer.send_signal(signal.SIGKILL)
    with Database.open(str(file)) as database:
        trials = database.load_search(1).trials
        finished = [trial for trial in trials if trial.state == "passed"]
        assert len(finished) >= trials_seen and len(trials) - len(finished) <= 1
        for trial in finished[-1:]:
            assert len(database.trial(trial.id).gates) == 2 and len(database.trial(trial.id).timings) == 2
        assert len(database.leaderboard(LeaderboardFilter())) == len(finished)
        record(database, 1, len(trials), passed())
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_a_reader_is_not_held_up_by_a_writer_in_the_middle_of_a_transaction(tmp_path: Path) -> None:
    file = tmp_path / "evotune.db"
    with Database.open(str(file)) as database:
        record(database, database.start_search(SEARCH), 0, passed())
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM leaderboard")
            assert len(database.leaderboard(LeaderboardFilter())) == 1
            with Database.open(str(file)) as another:
                assert len(another.searches()) == 1
