"""A PostgreSQL server that goes away for a while: a held search is written to as if nothing had been."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from evotune_db import ConnectionLost, Database
from evotune_db.records import LeaderboardFilter, NewTrial
from tests.support.db.examples import SEARCH, passed, propose, record
from tests.support.db.proxy import Proxy, proxy_to
from tests.support.db.server import Server

pytest_plugins = ["tests.support.db.fixtures"]


class Held:
    """A search held through a network that can be cut, and what was told meanwhile."""

    def __init__(self, database: Database) -> None:
        self.database, self.told = database, list[str]()
        self.search = database.start_search(SEARCH)
        database.acquire_lease(self.search, self.told.append)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with proxy_to(server.folder) as running:
        yield running


@pytest.fixture
def held(server: Server, proxy: Proxy) -> Iterator[Held]:
    with Database.open(proxy.url(server.new_database())) as database:
        yield Held(database)


def test_a_killed_server_is_waited_for(server: Server, held: Held) -> None:
    record(held.database, held.search, 0, passed())
    trial = propose(held.database, held.search, 1)
    server.kill()
    starting = threading.Timer(1.0, server.start)
    starting.start()
    held.database.record_outcome(trial, passed())
    starting.join()
    assert [trial.state for trial in held.database.load_search(held.search).trials] == ["passed", "passed"]
    assert len(held.database.leaderboard(LeaderboardFilter())) == 2
    assert "the database does not answer, trying again for 90 s" in held.told[0]
    assert "the database answers again after" in held.told[-1]


def test_a_cut_network_is_waited_for(proxy: Proxy, held: Held) -> None:
    proxy.cut()
    threading.Timer(1.0, proxy.mend).start()
    assert held.database.load_search(held.search).trials == ()
    trial = propose(held.database, held.search, 0)
    assert [stored.id for stored in held.database.load_search(held.search).trials] == [trial]


def test_a_write_whose_answer_was_lost_is_made_once(proxy: Proxy, held: Held) -> None:
    proxy.lose_next_commit()
    trial = propose(held.database, held.search, 0)
    assert held.told
    assert [stored.id for stored in held.database.load_search(held.search).trials] == [trial]
    proxy.lose_next_commit()
    held.database.record_outcome(trial, passed())
    details = held.database.trial(trial)
    assert (details.trial.state, len(details.gates), len(details.timings)) == ("passed", 2, 2)


def test_a_batch_whose_answer_was_lost_is_made_once(proxy: Proxy, held: Held) -> None:
    database, search = held.database, held.search
    proxy.lose_next_commit()
    ids = database.add_trials(search, [NewTrial(number, {}, str(number)) for number in (2, 0, 1)])
    assert len(held.told) == 2
    assert [database.trial(trial).trial.number for trial in ids] == [2, 0, 1]
    proxy.lose_next_commit()
    database.record_outcomes((), measuring=ids)
    assert [trial.state for trial in database.load_search(search).trials] == ["measuring"] * 3
    proxy.lose_next_commit()
    database.record_outcomes([(trial, passed()) for trial in ids])
    assert len(held.told) == 6
    for trial in ids:
        details = database.trial(trial)
        assert (details.trial.state, len(details.gates), len(details.timings)) == ("passed", 2, 2)
    assert len(database.leaderboard(LeaderboardFilter())) == 3


def test_a_server_that_stays_away_is_one_line(proxy: Proxy, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evotune_db.retry.RETRY_SECONDS", 1.0)
    proxy.cut()
    with pytest.raises(ConnectionLost, match="a database server must take the connection, got postgresql://") as lost:
        propose(held.database, held.search, 0)
    assert "\n" not in str(lost.value)
    proxy.mend()
    assert propose(held.database, held.search, 0)


def test_what_a_vanished_client_had_locked_is_freed(server: Server, held: Held) -> None:
    """The server is told to end a transaction whose client says nothing for half a minute."""
    url = server.new_database()
    with Database.open(url) as database, psycopg.connect(url) as plain:
        connection = database._engines.read.raw_connection()
        asked = "SELECT current_setting('idle_in_transaction_session_timeout')"
        try:
            assert connection.cursor().execute(asked).fetchone() == ("30s",)
        finally:
            connection.close()
        assert plain.execute(asked).fetchone() == ("0",)
