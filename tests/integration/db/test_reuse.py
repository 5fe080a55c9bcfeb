"""An outcome that a search takes over from another's trial, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from evotune_db import Database, DatabaseError, address
from evotune_db.records import LeaderboardFilter, OutcomeRecord
from tests.support.db.examples import DEVICE, SEARCH, failed, passed, propose, record, timing

pytest_plugins = ["tests.support.db.fixtures"]


def offered(outcome: OutcomeRecord, key: str = "same") -> OutcomeRecord:
    return replace(outcome, reuse_key=key)


def test_an_outcome_is_taken_over_with_its_origin_and_listed_once(database: Database) -> None:
    first, second = database.start_search(SEARCH), database.start_search(SEARCH)
    origin = record(database, first, 0, offered(passed(timing(2.0), timing(mode="warm"))))
    slower = record(database, second, 0, passed(timing(1.5)))
    found = database.reusable(("other", "same"))
    assert found is not None and (found.trial, found.hashes, found.censored) == (origin, ("c" * 64,), False)
    assert found.outcome.device == DEVICE and [each.speedup for each in found.outcome.timings] == [2.0]

    trial = propose(database, second, 1)
    assert database.reuse(trial, origin, "measured elsewhere")
    details = database.trial(trial)
    assert (details.trial.reused_from, details.trial.state, details.trial.objective) == (origin, "passed", 0.5)
    assert details.trial.reason == "measured elsewhere" and details.builds == database.trial(origin).builds
    assert not details.gates and not details.timings

    assert [entry.trial for entry in database.leaderboard(LeaderboardFilter())] == [origin, slower]
    assert [entry.trial for entry in database.leaderboard(LeaderboardFilter(search=second))] == [origin, slower]
    assert [entry.trial for entry in database.leaderboard(LeaderboardFilter(search=first))] == [origin]
    assert [search.best_trial for search in database.searches()] == [origin, origin]
    assert [each.trial for each in database.own_binaries(second)] == [slower, origin]


def test_what_was_timed_to_the_end_is_preferred_and_what_failed_is_taken_over_too(database: Database) -> None:
    search = database.start_search(SEARCH)
    record(database, search, 0, offered(passed(timing(censored=True))))
    whole = record(database, search, 1, offered(passed()))
    wrong = record(database, search, 2, offered(failed(), "wrong"))
    found = database.reusable(("same",))
    assert found is not None and found.trial == whole
    trial = propose(database, database.start_search(SEARCH), 0)
    assert database.reuse(trial, wrong, "seen before")
    assert database.trial(trial).trial.failed_gate == "numerics"
    assert database.reusable(("nobody's",)) is None


def test_what_is_withdrawn_is_withdrawn_wherever_it_was_taken_over_and_offered_no_more(database: Database) -> None:
    origin = record(database, database.start_search(SEARCH), 0, offered(passed()))
    other = database.start_search(SEARCH)
    early, late = propose(database, other, 0), propose(database, other, 1)
    assert database.reuse(early, origin, "measured elsewhere")
    database.withdraw(origin, "it races")
    assert [database.trial(each).trial.failed_gate for each in (origin, early)] == ["certify", "certify"]
    assert database.reusable(("same",)) is None
    assert not database.reuse(late, origin, "measured elsewhere")
    assert database.trial(late).trial.state == "proposed"


def test_a_trial_with_an_outcome_takes_over_no_other(database: Database) -> None:
    search = database.start_search(SEARCH)
    origin, ended = record(database, search, 0, offered(passed())), record(database, search, 1, failed())
    with pytest.raises(DatabaseError, match="has one already"):
        database.reuse(ended, origin, "measured elsewhere")


def test_looking_for_an_outcome_reads_an_index(database: Database, url: str) -> None:
    record(database, database.start_search(SEARCH), 0, offered(passed()))
    engine = create_engine(address.parse(url))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        plan = connection.execute(text(f"{explain} SELECT id FROM trial WHERE reuse_key IN ('a', 'b')")).all()
    engine.dispose()
    assert "ix_trial_reuse_key" in str(plan)
