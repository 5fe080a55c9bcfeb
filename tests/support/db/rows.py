"""Rows of every table, with a value in every column: what searches leave behind that went through everything."""

from __future__ import annotations

from dataclasses import replace

from evotune_db import Database
from evotune_db.records import HealthCheckRecord
from tests.support.db.examples import (
    DEVICE,
    SEARCH,
    build,
    certification,
    diagnosis,
    failed,
    passed,
    profile,
    propose,
    record,
    timing,
)


def write_rows(database: Database) -> None:
    """Into an empty database. Trials 1 and 5 are listed, 5 twice; all are of search 1 but 7, which takes over 1's."""
    search = database.start_search(SEARCH)
    listed = record(database, search, 0, replace(passed(), reuse_key="key"))
    wrong = record(database, search, 1, failed())
    record(database, search, 2, passed(timing(censored=True)))
    record(database, search, 3, passed(same_binary_as=listed))
    confirm(database, record(database, search, 4, passed(timing(1.5), timing(1.4, "long"))))
    propose(database, search, 5)
    reuse(database, listed)
    examine(database, listed, wrong)
    fail_health_check(database, search, listed)


def confirm(database: Database, trial: int) -> None:
    rebuilt = timing(1.6, phase="confirm", build_key="rebuilt")
    database.record_confirmation(trial, DEVICE, (), (rebuilt,), True, None, builds=(build("rebuilt"),))


def reuse(database: Database, origin: int) -> None:
    search = database.start_search(SEARCH)
    assert database.reuse(propose(database, search, 0), origin, "measured elsewhere")
    database.finish_search(search, "finished")


def examine(database: Database, listed: int, wrong: int) -> None:
    database.record_certification(listed, certification())
    database.record_profile(listed, profile())
    unseen = replace(diagnosis("output", wrong=0), passed=False, reason="it died")
    database.record_diagnosis(wrong, (replace(diagnosis(), distribution="peaky", seed=3), unseen))


def fail_health_check(database: Database, search: int, listed: int) -> None:
    """By a process that ends without a release; its last write makes an id, which the lease keeps."""
    database.acquire_lease(search, print)
    for number, outcome in ((6, passed(timing(3.0))), (7, failed())):
        record(database, search, number, outcome)
    odd = HealthCheckRecord(listed, "gpu 0 of node-7", DEVICE, "odd", "40% slower", 2.5, {"mission": {"speedup": 1.2}})
    database.reopen_trials(search, database.record_health_check(search, odd), (6, 7))
    database.record_health_check(search, replace(odd, verdict="good", reason=None))
