"""One process at a time runs a search, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from evotune_db import Database, LeaseHeld, LeaseLost, NotFoundError
from evotune_db.process_identity import ProcessIdentity, this_process
from tests.support.db.examples import SEARCH, passed, propose, record

pytest_plugins = ["tests.support.db.fixtures"]
ELSEWHERE = ProcessIdentity("node-7", 4321, "another boot", "99")
HOLD_AND_WAIT = """
import sys, time
from evotune_db import Database
database = Database.open(sys.argv[1])
database.acquire_lease(int(sys.argv[2]), print)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(url: str) -> Iterator[Database]:
    """Another connection to the same database."""
    with Database.open(url) as opened:
        yield opened


@pytest.fixture
def on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes a lease from now on does so elsewhere."""
    monkeypatch.setattr("evotune_db.database.this_process", lambda: ELSEWHERE)


def silent(text: str) -> None:
    raise AssertionError(f"nothing was to be told, got {text}")


def test_a_search_that_is_held_is_refused_to_others_until_it_is_released(database: Database, other: Database) -> None:
    search, free = database.start_search(SEARCH), database.start_search(SEARCH)
    database.acquire_lease(search, silent)
    with pytest.raises(LeaseHeld, match=rf"search {search} is run by process \d+ on this machine; wait for it or end"):
        other.acquire_lease(search, silent)
    other.acquire_lease(free, silent)
    other.release_lease()
    trial = record(database, search, 0, passed())
    assert database.load_search(search).trials[0].id == trial
    database.release_lease()
    other.acquire_lease(search, silent)


def test_a_search_that_is_not_there_cannot_be_held(database: Database) -> None:
    with pytest.raises(NotFoundError, match="got 99"):
        database.acquire_lease(99, silent)


def test_a_killed_process_holds_nothing(database: Database, url: str) -> None:
    search = database.start_search(SEARCH)
    command = [sys.executable, "-c", HOLD_AND_WAIT, url, str(search)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeld, match=f"is run by process {holder.pid} on this machine"):
            database.acquire_lease(search, silent)
        assert database.searches()[0].state == "running"
        holder.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # ended, though its parent has not taken notice
        assert database.searches()[0].state == "abandoned"
        database.acquire_lease(search, silent)
    assert record(database, search, 0, passed())


def test_a_later_process_of_the_same_number_is_not_the_holder() -> None:
    me = this_process()
    assert me.has_ended(me) is False
    assert ProcessIdentity(me.host, me.process, me.machine, "1").has_ended(me) is True
    assert ELSEWHERE.has_ended(me) is None and me.has_ended(ELSEWHERE) is None


@pytest.mark.usefixtures("on_another_machine")
def test_another_machine_keeps_its_search_while_it_is_heard_of(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = database.start_search(SEARCH)
    database.acquire_lease(search, silent)
    monkeypatch.undo()
    with pytest.raises(LeaseHeld, match=r"by process 4321 on node-7, last heard of 0 s ago; .* after 120 s of silence"):
        other.acquire_lease(search, silent)
    monkeypatch.setattr("evotune_db.lease_status.LEASE_SECONDS", 0.0)
    other.acquire_lease(search, silent)


@pytest.mark.usefixtures("on_another_machine")
def test_who_was_taken_for_dead_writes_nothing_more(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = database.start_search(SEARCH)
    database.acquire_lease(search, silent)
    trial = propose(database, search, 0)
    monkeypatch.setattr("evotune_db.lease_status.LEASE_SECONDS", 0.0)
    other.acquire_lease(search, silent)
    with pytest.raises(LeaseLost, match=f"search {search} was taken over by another; this one stops"):
        database.record_outcome(trial, passed())
    with pytest.raises(LeaseLost):
        propose(database, search, 1)
    with pytest.raises(LeaseLost):
        database.renew_lease()
    database.release_lease()
    assert [stored.state for stored in other.load_search(search).trials] == ["proposed"]
    other.record_outcome(trial, passed())
    assert other.trial(trial).trial.state == "passed"
