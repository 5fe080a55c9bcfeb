"""SQLite and PostgreSQL refuse forged entries: neither raw SQL nor concurrent writers can list a trial that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from evotune_db import Database, DatabaseError
from evotune_db.engine import open_engines
from evotune_db.records import LeaderboardFilter
from tests.support.db.examples import DEVICE, SEARCH, failed, gate, passed, propose, record, timing

pytest_plugins = ["tests.support.db.fixtures"]

LISTED, FAILED, CENSORED, PROPOSED, OTHER_SEARCH = 1, 2, 3, 4, 2
ROUNDS = 5
ENTRY = "trial_id, workload, search_id, trial_state, own_binary, kernel, target, device_id, device, timing_id"
EVIDENCE = "timing_phase, timing_complete, speedup, confirmed, certified, build_id"


@pytest.fixture
def raw(url: str) -> Iterator[Connection]:
    """Return a database with a listed, a failed, a censored and an unfinished trial, and with another search."""
    with Database.open(url) as database:
        search = database.start_search(SEARCH)
        record(database, search, 0, passed())
        record(database, search, 1, failed())
        record(database, search, 2, passed(timing(censored=True)))
        propose(database, search, 3)
        assert database.start_search(SEARCH) == OTHER_SEARCH
    engines = open_engines(url)
    with engines.write.connect() as connection:
        yield connection
    engines.close()


def forge(raw: Connection, **changed: str) -> None:
    """Insert a copy of trial 1's leaderboard entry with some columns changed."""
    columns = [column.strip() for column in f"{ENTRY}, {EVIDENCE}".split(",")]
    names, values = ", ".join(columns), ", ".join(changed.get(column, column) for column in columns)
    raw.execute(text(f"INSERT INTO leaderboard ({names}) SELECT {values} FROM leaderboard WHERE trial_id = {LISTED}"))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"trial_id": str(FAILED)}, id="a failed trial that is said to have passed"),
        pytest.param({"trial_id": str(FAILED), "trial_state": "'failed'"}, id="a failed trial"),
        pytest.param({"trial_id": str(PROPOSED)}, id="a trial without an outcome"),
        pytest.param({"trial_id": str(CENSORED)}, id="a trial with another one's timing"),
        pytest.param({"trial_id": str(CENSORED), "timing_id": "NULL"}, id="a trial without a timing"),
        pytest.param({"trial_id": str(CENSORED), "timing_id": "999"}, id="a trial with a timing that is not there"),
        pytest.param(
            {"trial_id": str(CENSORED), "timing_id": f"(SELECT id FROM timing WHERE trial_id = {CENSORED})"},
            id="a trial with a censored timing",
        ),
        pytest.param({"workload": "'long'"}, id="a workload that was not timed"),
        pytest.param({"workload": "'long'", "search_id": str(OTHER_SEARCH)}, id="another search"),
        pytest.param({}, id="a second entry"),
    ],
)
def test_a_forged_entry_raises_an_integrity_error(raw: Connection, changed: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        forge(raw, **changed)


def test_an_entry_cannot_move_to_another_search(raw: Connection) -> None:
    with pytest.raises(IntegrityError):
        raw.execute(text(f"UPDATE leaderboard SET search_id = {OTHER_SEARCH}"))


def test_a_listed_trial_cannot_be_changed_to_failed(raw: Connection) -> None:
    with pytest.raises(IntegrityError):
        raw.execute(text("UPDATE trial SET state = 'failed', failed_gate = 'numerics', objective = NULL WHERE id = 1"))


def test_an_honest_entry_comes_back_by_the_same_statement(raw: Connection) -> None:
    """Show that the refusals above are caused by the changes."""
    kept = dict(raw.execute(text(f"SELECT {ENTRY}, {EVIDENCE} FROM leaderboard")).mappings().one())
    raw.execute(text("DELETE FROM leaderboard"))
    names = ", ".join(kept)
    raw.execute(text(f"INSERT INTO leaderboard ({names}) VALUES ({', '.join(f':{name}' for name in kept)})"), kept)
    assert raw.execute(text("SELECT count(*) FROM leaderboard")).scalar_one() == 1


def test_two_writers_at_once_never_make_two_entries_for_a_trial(url: str) -> None:
    for _ in range(ROUNDS):
        with Database.open(url) as first, Database.open(url) as second:
            trial = propose(first, first.start_search(SEARCH), 0)
            done = at_once(*(partial(database.record_outcome, trial, passed()) for database in (first, second)))
            assert sorted(done) == [False, True]
            assert entries(first, trial) == 1


def test_two_confirmations_at_once_leave_one_entry(url: str) -> None:
    for _ in range(ROUNDS):
        with Database.open(url) as first, Database.open(url) as second:
            trial = record(first, first.start_search(SEARCH), 0, passed())
            at_once(partial(confirm, first, trial, 1.4), partial(confirm, second, trial, 1.5))
            assert entries(first, trial) == 1


def test_a_confirmation_and_a_failure_at_once_do_not_list_a_failed_trial(url: str) -> None:
    for _ in range(ROUNDS):
        with Database.open(url) as first, Database.open(url) as second:
            trial = record(first, first.start_search(SEARCH), 0, passed())
            at_once(partial(confirm, first, trial, 1.4), partial(refute, second, trial))
            state = first.trial(trial).trial.state
            assert entries(first, trial) == (1 if state == "passed" else 0)


def at_once(*actions: Callable[[], None]) -> list[bool]:
    """Run the actions at the same time, each in its own thread, and return which of them the database accepted."""
    start = Barrier(len(actions))

    def act(action: Callable[[], None]) -> bool:
        start.wait()
        try:
            action()
        except DatabaseError:
            return False
        return True

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


def confirm(database: Database, trial: int, speedup: float) -> None:
    database.record_confirmation(trial, DEVICE, (gate(),), (timing(speedup, phase="confirm"),), True, None)


def refute(database: Database, trial: int) -> None:
    database.record_confirmation(trial, DEVICE, (gate(passed=False),), (), False, "wrong on new seeds")


def entries(database: Database, trial: int) -> int:
    return len(database.leaderboard(LeaderboardFilter(trial=trial)))
