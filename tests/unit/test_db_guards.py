"""SQLite itself refuses an untrue leaderboard, from any client: raw SQL with foreign keys off, as in its shell."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from evotune_db import Database
from tests.db_examples import SEARCH, failed, passed, propose, record, timing


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a search of four trials and another search of one.

    Trial 1 is listed, 2 failed, 3 has only a censored timing, 4 has the binary of 1, and 5 is of search 2.
    """
    file = tmp_path_factory.mktemp("recorded") / "evotune.db"
    with Database.open(str(file)) as database:
        search = database.start_search(SEARCH)
        record(database, search, 0, passed())
        record(database, search, 1, failed())
        record(database, search, 2, passed(timing(censored=True)))
        record(database, search, 3, passed(same_binary_as=1))
        record(database, database.start_search(SEARCH), 0, passed(timing(workload="long")))
    return file


@pytest.fixture(params=[False, True], ids=["foreign keys off", "foreign keys on"])
def raw(request: pytest.FixtureRequest, recorded: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of that database, opened without evotune."""
    connection = sqlite3.connect(shutil.copy(recorded, tmp_path), isolation_level=None)
    connection.execute(f"PRAGMA foreign_keys = {int(request.param)}")
    yield connection
    connection.close()


def listed(raw: sqlite3.Connection) -> list[tuple[int, str]]:
    return raw.execute("SELECT trial_id, workload FROM leaderboard ORDER BY 1").fetchall()


def forge(raw: sqlite3.Connection, trial: int, timing: int, **changed: object) -> None:
    """Lists a trial with a timing and, where nothing else is said, with what the database knows of both."""
    columns = {
        "trial_id": str(trial),
        "workload": "timing.workload",
        "search_id": "trial.search_id",
        "trial_state": "'passed'",
        "own_binary": "1",
        "kernel": "'attention_fwd'",
        "target": "'sm_89'",
        "device_id": "1",
        "device": "'Test L4'",
        "timing_id": "timing.id",
        "timing_phase": "timing.phase",
        "timing_complete": "1",
        "speedup": "timing.speedup",
        "confirmed": "0",
        "certified": "0",
        "build_id": "timing.build_id",
        **{name: repr(value) for name, value in changed.items()},
    }
    source = f"trial, timing WHERE trial.id = {trial} AND timing.id = {timing}"
    raw.execute(f"INSERT INTO leaderboard ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {source}")


def timing_of(raw: sqlite3.Connection, trial: int, mode: str = "cold") -> int:
    found = raw.execute("SELECT id FROM timing WHERE trial_id = ? AND mode = ?", (trial, mode)).fetchone()
    return int(found[0])


def test_what_evotune_lists_is_what_qualifies(raw: sqlite3.Connection) -> None:
    assert listed(raw) == [(1, "mission"), (5, "long")]


def test_an_entry_that_was_taken_away_can_come_back_by_hand(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM leaderboard WHERE trial_id = 1")
    forge(raw, 1, timing_of(raw, 1))
    assert listed(raw) == [(1, "mission"), (5, "long")]


@pytest.mark.parametrize("state", ["passed", "failed"])
def test_a_trial_that_failed_is_refused(raw: sqlite3.Connection, state: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        forge(raw, 2, timing_of(raw, 1), trial_state=state)


def test_a_trial_whose_only_timing_is_censored_is_refused(raw: sqlite3.Connection) -> None:
    for complete in (0, 1):
        with pytest.raises(sqlite3.IntegrityError):
            forge(raw, 3, timing_of(raw, 3), timing_complete=complete)


def test_a_warm_timing_is_refused(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM leaderboard WHERE trial_id = 1")
    with pytest.raises(sqlite3.IntegrityError):
        forge(raw, 1, timing_of(raw, 1, "warm"))


def test_another_trials_timing_is_refused(raw: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        forge(raw, 3, timing_of(raw, 1))


def test_a_trial_with_another_ones_binary_is_refused(raw: sqlite3.Connection) -> None:
    for own_binary in (0, 1):
        with pytest.raises(sqlite3.IntegrityError):
            forge(raw, 4, timing_of(raw, 4), own_binary=own_binary)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("search_id", 2),
        ("search_id", 99),
        ("speedup", 99.0),
        ("target", "sm_90a"),
        ("kernel", "gemm"),
        ("device", "Faster"),
        ("workload", "long"),
        ("timing_phase", "confirm"),
        ("confirmed", 1),
    ],
)
def test_an_entry_that_differs_from_its_evidence_is_refused(
    raw: sqlite3.Connection, column: str, value: object
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(f"UPDATE leaderboard SET {column} = ? WHERE trial_id = 1", (value,))
    raw.execute("DELETE FROM leaderboard WHERE trial_id = 1")
    with pytest.raises(sqlite3.IntegrityError):
        forge(raw, 1, timing_of(raw, 1), **{column: value})


def test_a_second_entry_for_a_workload_is_refused(raw: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        forge(raw, 1, timing_of(raw, 1))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial SET state = 'failed', failed_gate = 'numerics', objective = NULL WHERE id = 1",
        "UPDATE OR IGNORE trial SET state = 'failed', failed_gate = 'x', objective = NULL WHERE id = 1",
        "UPDATE OR REPLACE trial SET state = 'failed', failed_gate = 'x', objective = NULL WHERE id = 1",
        "UPDATE trial SET same_binary_as = 3, own_binary = 0 WHERE id = 1",
        "UPDATE trial SET search_id = 2, number = 9 WHERE id = 1",
        "DELETE FROM trial WHERE id = 1",
        "INSERT OR REPLACE INTO trial SELECT 1, search_id, number, configuration, configuration_key, 'failed', 'x', "
        "NULL, NULL, NULL, 1, device_id, build_id, proposed, finished, NULL, NULL FROM trial WHERE id = 1",
        "INSERT OR REPLACE INTO trial SELECT 77, search_id, number, configuration, 'other', 'failed', 'x', "
        "NULL, NULL, NULL, 1, device_id, build_id, proposed, finished, NULL, NULL FROM trial WHERE id = 1",
        "UPDATE timing SET speedup = 99 WHERE trial_id = 1",
        "UPDATE timing SET censored = 1, complete = 0 WHERE trial_id = 1",
        "DELETE FROM timing WHERE trial_id = 1",
        "REPLACE INTO timing SELECT * FROM timing WHERE trial_id = 1 AND mode = 'cold'",
        "UPDATE search SET target = 'sm_90a' WHERE id = 1",
        "DELETE FROM search WHERE id = 1",
        "UPDATE device SET name = 'Other' WHERE id = 1",
        "DELETE FROM device",
    ],
)
def test_what_an_entry_was_admitted_for_cannot_change_under_it(raw: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)
    assert listed(raw) == [(1, "mission"), (5, "long")]
    assert raw.execute("SELECT state FROM trial WHERE id = 1").fetchone() == ("passed",)


def test_a_trial_off_the_leaderboard_can_be_failed_by_hand(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM leaderboard WHERE trial_id = 1")
    raw.execute("UPDATE trial SET state = 'failed', failed_gate = 'certify', objective = NULL WHERE id = 1")
    assert listed(raw) == [(5, "long")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial SET state = 'done' WHERE id = 3",
        "UPDATE trial SET failed_gate = 'numerics' WHERE id = 3",
        "UPDATE trial SET failed_gate = NULL WHERE id = 2",
        "UPDATE trial SET objective = 0.5 WHERE id = 2",
        "UPDATE trial SET finished = NULL WHERE id = 2",
        "UPDATE trial SET own_binary = 1 WHERE id = 4",
        "UPDATE trial SET reused_from = 5 WHERE id = 4",
        "UPDATE trial SET reuse_key = 'key' WHERE id = 4",
        "UPDATE timing SET complete = 1 WHERE trial_id = 3",
        "UPDATE timing SET speedup = 0 WHERE trial_id = 3",
        "UPDATE timing SET median_us = 9e999 WHERE trial_id = 3",
        "UPDATE timing SET median_us = NULL WHERE trial_id = 3",
        "UPDATE search SET state = 'paused'",
        "UPDATE search SET finished = started WHERE state = 'running'",
    ],
)
def test_a_row_that_contradicts_itself_is_refused(raw: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)


def test_a_search_takes_each_number_and_each_configuration_once(tmp_path: Path) -> None:
    with Database.open(str(tmp_path / "evotune.db")) as database:
        propose(database, database.start_search(SEARCH), 0)
    with sqlite3.connect(tmp_path / "evotune.db") as connection:
        copied = (
            "INSERT INTO trial (search_id, number, configuration, configuration_key, state, own_binary, proposed) "
            "SELECT search_id, {}, configuration, {}, state, own_binary, proposed FROM trial"
        )
        for number, key in (("number", "'other'"), ("1", "configuration_key")):
            with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
                connection.execute(copied.format(number, key))
    connection.close()
