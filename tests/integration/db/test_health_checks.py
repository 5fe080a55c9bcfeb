"""A failed health check reopens trials, and keeps the outcomes that they lose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from evotune_db import Database, DatabaseError, address
from evotune_db.records import HealthCheckRecord, LeaderboardFilter
from tests.support.db.examples import DEVICE, SEARCH, failed, passed, propose, record, timing

pytest_plugins = ["tests.support.db.fixtures"]


def odd(trial: int) -> HealthCheckRecord:
    return HealthCheckRecord(trial, "gpu 0 of node-7", DEVICE, "quarantined", "40% slower", 2.5, {})


def test_an_unreliable_outcome_leaves_the_leaderboard_and_is_measured_again(database: Database, url: str) -> None:
    search = database.start_search(SEARCH)
    kept = record(database, search, 0, passed(timing(1.5)))
    reopened = record(
        database, search, 1, replace(passed(timing(3.0, censored=True), timing(3.0, "long")), reuse_key="k")
    )
    twin = record(database, search, 2, passed(same_binary_as=reopened))
    wrong = record(database, search, 3, failed())
    other = propose(database, database.start_search(SEARCH), 0)
    assert database.reuse(other, reopened, "measured elsewhere")

    database.reopen_trials(search, database.record_health_check(search, odd(kept)), (1, 3))
    states = [(trial.state, trial.objective, trial.censored) for trial in database.load_search(search).trials]
    assert states == [("passed", 0.5, False), *[("proposed", None, False)] * 3]
    assert [entry.trial for entry in database.leaderboard(LeaderboardFilter())] == [kept]
    assert database.reusable(("k",)) is None
    details = database.trial(reopened)
    assert (details.builds, details.gates, details.timings, details.device) == ((), (), (), None)
    [lost] = details.unreliable_outcomes
    assert (lost.state, lost.objective, lost.worker) == ("passed", 0.5, "gpu 0 of node-7")
    assert database.trial(wrong).unreliable_outcomes[0].failed_gate == "numerics"
    assert count(url, f"timing WHERE trial_id = {reopened} AND phase = 'suspect'") == 2

    database.record_outcome(reopened, replace(passed(timing(1.2)), objective=0.8))
    assert [entry.trial for entry in database.leaderboard(LeaderboardFilter())] == [kept, reopened]
    assert database.trial(other).trial.objective == 0.8, "whoever took the outcome over has the new one"
    database.record_outcome(twin, passed(same_binary_as=reopened))
    assert database.trial(twin).unreliable_outcomes


def test_a_health_check_that_is_not_good_says_why(database: Database) -> None:
    search = database.start_search(SEARCH)
    trial = record(database, search, 0, passed())
    with pytest.raises(DatabaseError, match="ck_health_check_reason"):
        database.record_health_check(search, replace(odd(trial), reason=None))


def count(url: str, rows: str) -> int:
    engine = create_engine(address.parse(url))
    with engine.connect() as connection:
        found = int(connection.execute(text(f"SELECT count(*) FROM {rows}")).scalar_one())
    engine.dispose()
    return found
