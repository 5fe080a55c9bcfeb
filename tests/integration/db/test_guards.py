"""The database itself refuses an untrue leaderboard, from any client, and on SQLite also one without foreign keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from evotune_db import Database
from tests.support.db.client import Client, copy_row, execute, refused, sqlite_only
from tests.support.db.examples import SEARCH, failed, passed, record, timing

pytest_plugins = ["tests.support.db.fixtures"]
LISTED = [(1, "mission"), (5, "long")]


@pytest.fixture(scope="module")
def recorded(client: Client) -> Client:
    """Record a search of four trials and another search of one.

    Trial 1 is listed, 2 failed, 3 has only a censored timing, 4 has the binary of 1, and 5 is of search 2.
    """
    with Database.open(client.url) as database:
        search = database.start_search(SEARCH)
        record(database, search, 0, passed())
        record(database, search, 1, failed())
        record(database, search, 2, passed(timing(censored=True)))
        record(database, search, 3, passed(same_binary_as=1))
        record(database, database.start_search(SEARCH), 0, passed(timing(workload="long")))
    return client


@pytest.fixture
def raw(recorded: Client) -> Iterator[Connection]:
    """Open a transaction there, and roll it back afterwards."""
    with recorded.transaction() as connection:
        yield connection


def listed(raw: Connection) -> list[tuple[int, str]]:
    rows = raw.execute(text("SELECT trial_id, workload FROM leaderboard ORDER BY 1"))
    return [(row.trial_id, row.workload) for row in rows]


def forge(raw: Connection, trial: int, timing: int, **changed: object) -> None:
    """List a trial with a timing and, unless changed, with the figures that the database has of both."""
    columns = {
        "trial_id": str(trial),
        "workload": "timing.workload",
        "search_id": "trial.search_id",
        "trial_state": "'passed'",
        "own_binary": "true",
        "kernel": "'attention_fwd'",
        "target": "'sm_89'",
        "device_id": "1",
        "device": "'Test L4'",
        "timing_id": "timing.id",
        "timing_phase": "timing.phase",
        "timing_complete": "true",
        "speedup": "timing.speedup",
        "confirmed": "false",
        "certified": "false",
        "build_id": "timing.build_id",
        **{name: repr(value) for name, value in changed.items()},
    }
    source = f"trial, timing WHERE trial.id = {trial} AND timing.id = {timing}"
    execute(raw, f"INSERT INTO leaderboard ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {source}")


def timing_of(raw: Connection, trial: int, mode: str = "cold") -> int:
    query = text("SELECT id FROM timing WHERE trial_id = :trial AND mode = :mode")
    return int(raw.execute(query, {"trial": trial, "mode": mode}).scalar_one())


def test_what_evotune_lists_is_what_qualifies(raw: Connection) -> None:
    assert listed(raw) == LISTED


def test_an_entry_that_was_taken_away_can_come_back_by_hand(raw: Connection) -> None:
    execute(raw, "DELETE FROM leaderboard WHERE trial_id = 1")
    forge(raw, 1, timing_of(raw, 1))
    assert listed(raw) == LISTED


@pytest.mark.parametrize("state", ["passed", "failed"])
def test_a_trial_that_failed_is_refused(raw: Connection, state: str) -> None:
    with refused(raw):
        forge(raw, 2, timing_of(raw, 1), trial_state=state)


def test_a_trial_whose_only_timing_is_censored_is_refused(raw: Connection) -> None:
    for complete in (False, True):
        with refused(raw):
            forge(raw, 3, timing_of(raw, 3), timing_complete=complete)


def test_a_warm_timing_is_refused(raw: Connection) -> None:
    execute(raw, "DELETE FROM leaderboard WHERE trial_id = 1")
    with refused(raw):
        forge(raw, 1, timing_of(raw, 1, "warm"))


def test_another_trials_timing_is_refused(raw: Connection) -> None:
    with refused(raw):
        forge(raw, 3, timing_of(raw, 1))


def test_a_trial_with_another_ones_binary_is_refused(raw: Connection) -> None:
    for own_binary in (False, True):
        with refused(raw):
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
        ("confirmed", True),
    ],
)
def test_an_entry_that_differs_from_its_evidence_is_refused(raw: Connection, column: str, value: object) -> None:
    with refused(raw):
        execute(raw, f"UPDATE leaderboard SET {column} = :value WHERE trial_id = 1", value=value)
    execute(raw, "DELETE FROM leaderboard WHERE trial_id = 1")
    with refused(raw):
        forge(raw, 1, timing_of(raw, 1), **{column: value})


def test_a_second_entry_for_a_workload_is_refused(raw: Connection) -> None:
    with refused(raw):
        forge(raw, 1, timing_of(raw, 1))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial SET state = 'failed', failed_gate = 'numerics', objective = NULL WHERE id = 1",
        "UPDATE trial SET same_binary_as = 3, own_binary = false WHERE id = 1",
        "UPDATE trial SET search_id = 2, number = 9 WHERE id = 1",
        "DELETE FROM trial WHERE id = 1",
        "UPDATE timing SET speedup = 99 WHERE trial_id = 1",
        "UPDATE timing SET censored = true, complete = false WHERE trial_id = 1",
        "DELETE FROM timing WHERE trial_id = 1",
        "UPDATE search SET target = 'sm_90a' WHERE id = 1",
        "DELETE FROM search WHERE id = 1",
        "UPDATE device SET name = 'Other' WHERE id = 1",
        "DELETE FROM device",
    ],
)
def test_what_an_entry_was_admitted_for_cannot_change_under_it(raw: Connection, statement: str) -> None:
    with refused(raw):
        execute(raw, statement)


@sqlite_only
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE OR IGNORE trial SET state = 'failed', failed_gate = 'x', objective = NULL WHERE id = 1",
        "UPDATE OR REPLACE trial SET state = 'failed', failed_gate = 'x', objective = NULL WHERE id = 1",
        "INSERT OR REPLACE INTO trial SELECT 1, search_id, number, configuration, configuration_key, 'failed', 'x', "
        "NULL, NULL, NULL, 1, device_id, build_id, proposed, finished, NULL, NULL FROM trial WHERE id = 1",
        "INSERT OR REPLACE INTO trial SELECT 77, search_id, number, configuration, 'other', 'failed', 'x', "
        "NULL, NULL, NULL, 1, device_id, build_id, proposed, finished, NULL, NULL FROM trial WHERE id = 1",
        "REPLACE INTO timing SELECT * FROM timing WHERE trial_id = 1 AND mode = 'cold'",
    ],
)
def test_sqlites_own_ways_to_settle_a_conflict_change_nothing(raw: Connection, statement: str) -> None:
    with pytest.raises(IntegrityError):
        execute(raw, statement)
    assert listed(raw) == LISTED
    assert raw.execute(text("SELECT state FROM trial WHERE id = 1")).scalar_one() == "passed"


def test_a_trial_off_the_leaderboard_can_be_failed_by_hand(raw: Connection) -> None:
    execute(raw, "DELETE FROM leaderboard WHERE trial_id = 1")
    execute(raw, "UPDATE trial SET state = 'failed', failed_gate = 'certify', objective = NULL WHERE id = 1")
    assert listed(raw) == LISTED[1:]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial SET state = 'done' WHERE id = 3",
        "UPDATE trial SET failed_gate = 'numerics' WHERE id = 3",
        "UPDATE trial SET failed_gate = NULL WHERE id = 2",
        "UPDATE trial SET objective = 0.5 WHERE id = 2",
        "UPDATE trial SET finished = NULL WHERE id = 2",
        "UPDATE trial SET own_binary = true WHERE id = 4",
        "UPDATE trial SET reused_from = 5 WHERE id = 4",
        "UPDATE trial SET reuse_key = 'key' WHERE id = 4",
        "UPDATE timing SET complete = true WHERE trial_id = 3",
        "UPDATE search SET state = 'paused'",
        "UPDATE search SET finished = started WHERE state = 'running'",
    ],
)
def test_a_row_that_contradicts_itself_is_refused(raw: Connection, statement: str) -> None:
    with refused(raw):
        execute(raw, statement)


@pytest.mark.parametrize("figure", [0.0, -1.0, math.inf, math.nan, None])
def test_a_time_and_a_speedup_are_positive_numbers(raw: Connection, figure: float | None) -> None:
    for column in ("median_us", "baseline_us", "speedup"):
        with refused(raw):
            execute(raw, f"UPDATE timing SET {column} = :figure WHERE trial_id = 3", figure=figure)


def test_a_search_takes_each_number_and_each_configuration_once(raw: Connection) -> None:
    new = {"id": "99", "number": "99", "configuration_key": "'other'"}
    for taken in ("number", "configuration_key"):
        with refused(raw, match="(?i)unique"):
            copy_row(raw, "trial", "id = 3", **{name: value for name, value in new.items() if name != taken})
    copy_row(raw, "trial", "id = 3", **new)
