"""Built-only trials, certifications, profiles and diagnoses, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from evotune_db import Database, DatabaseError, NotFoundError
from evotune_db.records import CHECK_TOOLS, LeaderboardFilter
from tests.support.db.examples import (
    DEVICE,
    SEARCH,
    build,
    built,
    certification,
    check,
    diagnosis,
    failed,
    passed,
    profile,
    propose,
    record,
    timing,
)

pytest_plugins = ["tests.support.db.fixtures"]
ANY = LeaderboardFilter()


def certified(database: Database) -> dict[tuple[int, str], bool]:
    """Return the certified flag of each entry, by trial and workload."""
    return {(entry.trial, entry.workload): entry.certified for entry in database.leaderboard(ANY)}


def test_a_trial_that_is_built_and_not_run_is_finished_and_off_the_leaderboard(database: Database) -> None:
    search = database.start_search(SEARCH)
    trial = record(database, search, 0, built())
    twin = record(database, search, 1, replace(built(), same_binary_as=trial, reason="same binary", gates=()))
    record(database, search, 2, failed())
    details = database.trial(trial)
    stored = details.trial
    assert (stored.state, stored.failed_gate, stored.objective, details.device) == ("built", None, None, None)
    assert details.finished is not None and details.builds == (build(),) and details.gates == built().gates
    assert [trial.state for trial in database.load_search(search).trials] == ["built", "built", "failed"]
    assert database.trial(twin).same_binary_as == trial and database.leaderboard(ANY) == []
    (summary,) = database.searches()
    assert (summary.built, summary.passed, summary.failed) == (3, 0, 1)
    with pytest.raises(DatabaseError, match=rf"trial {trial} has one already \(built\)"):
        database.record_outcome(trial, passed())
    with pytest.raises(DatabaseError, match="must have passed, trial 1 is built"):
        database.record_certification(trial, certification())


def test_a_built_trial_with_anything_of_a_run_is_refused(database: Database) -> None:
    trial = propose(database, database.start_search(SEARCH), 0)
    for contradiction in (
        replace(built(), device=DEVICE),
        replace(built(), timings=(timing(),)),
        replace(built(), failed_gate="build"),
        replace(built(), objective=0.5),
    ):
        with pytest.raises(DatabaseError):
            database.record_outcome(trial, contradiction)
    assert database.trial(trial).trial.state == "proposed"
    database.record_outcome(trial, built())


def test_a_certification_reads_back_and_marks_the_entries_of_its_build(database: Database) -> None:
    search = database.start_search(SEARCH)
    of_two = replace(
        passed(timing(), timing(1.5, "long", build_key="long build")), builds=(build(), build("long build"))
    )
    trial = record(database, search, 0, of_two)
    other = record(database, search, 1, passed())
    shuffled = replace(certification(), checks=tuple(reversed(certification().checks)))
    assert database.record_certification(trial, shuffled) == ("mission",)
    assert certified(database) == {(trial, "mission"): True, (trial, "long"): False, (other, "mission"): False}
    assert database.trial(trial).certifications == (certification(),)
    assert database.record_certification(trial, certification(build_key="long build")) == ("long",)
    assert certified(database)[trial, "long"]
    assert [entry.certified for entry in database.trial(trial).leaderboard] == [True, True]


def test_the_latest_certification_of_a_build_counts(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, passed())
    for failing in (None, "racecheck", None):
        made = certification("racecheck" if failing else None)
        database.record_certification(trial, made)
        assert database.leaderboard(ANY)[0].certified is made.passed
        assert database.trial(trial).certifications[-1] == made
    assert len(database.trial(trial).certifications) == 3


def test_a_confirmed_entry_keeps_its_certificate_only_if_the_same_build_was_confirmed(database: Database) -> None:
    search = database.start_search(SEARCH)
    same, rebuilt = (record(database, search, number, passed()) for number in (0, 1))
    for trial in (same, rebuilt):
        database.record_certification(trial, certification())
    database.record_confirmation(same, DEVICE, (), (timing(phase="confirm"),), True, None)
    again = timing(phase="confirm", build_key="rebuilt")
    database.record_confirmation(rebuilt, DEVICE, (), (again,), True, None, builds=(build("rebuilt"),))
    assert certified(database) == {(same, "mission"): True, (rebuilt, "mission"): False}
    assert all(entry.confirmed for entry in database.leaderboard(ANY))


def test_a_certification_may_bring_the_build_that_it_checked(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, passed())
    other = certification(build_key="rebuilt")
    with pytest.raises(DatabaseError, match="certification must name a recorded build, got the key rebuilt"):
        database.record_certification(trial, other)
    assert database.record_certification(trial, other, builds=(build("rebuilt"),)) == ()
    assert certified(database) == {(trial, "mission"): False} and database.trial(trial).certifications == (other,)


def test_a_certification_that_contradicts_itself_is_refused(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, passed())
    sound = certification()
    for untrue in (
        replace(certification("initcheck"), passed=True),
        replace(sound, different_runs=1),
        replace(sound, runs=0),
        replace(sound, checks=(*sound.checks[1:], replace(check("memcheck"), findings=1))),
        replace(sound, checks=(*sound.checks, check("memcheck"))),
    ):
        with pytest.raises(DatabaseError):
            database.record_certification(trial, untrue)
    with pytest.raises(DatabaseError, match=r"must have every check .*, got none of memcheck, racecheck; run what is"):
        database.record_certification(trial, replace(sound, checks=sound.checks[2:]))
    assert database.trial(trial).certifications == () and not database.leaderboard(ANY)[0].certified
    partial = replace(sound, passed=False, checks=sound.checks[:2], runs=0)
    database.record_certification(trial, partial)
    assert database.trial(trial).certifications == (partial,)


def test_a_trial_that_certification_refutes_is_withdrawn_with_its_twins(database: Database) -> None:
    search = database.start_search(SEARCH)
    trial = record(database, search, 0, passed())
    twin = record(database, search, 1, passed(same_binary_as=trial))
    database.record_certification(trial, certification("memcheck"))
    database.withdraw(trial, "memcheck: 2 errors")
    assert database.leaderboard(ANY) == []
    for each in (trial, twin):
        stored = database.trial(each).trial
        assert (stored.state, stored.failed_gate, stored.reason) == ("failed", "certify", "memcheck: 2 errors")
    assert len(database.trial(trial).certifications) == 1
    with pytest.raises(DatabaseError, match="a trial to withdraw must have passed, trial 1 is failed"):
        database.withdraw(trial, "again")


def test_the_leaderboard_shows_the_latest_profile_of_the_timed_build(database: Database) -> None:
    search = database.start_search(SEARCH)
    trial = record(database, search, 0, passed())
    bare = record(database, search, 1, passed(timing(1.1)))
    first, unread = profile(25.0), replace(profile(None), duration_us=float("nan"), registers=None)
    database.record_profile(trial, first)
    database.record_profile(trial, profile(75.0, workload="long"))
    database.record_profile(trial, profile(80.0, build_key="rebuilt"), builds=(build("rebuilt"),))
    entry, other = database.leaderboard(ANY)
    assert (entry.trial, entry.achieved_occupancy_pct, entry.tensor_active_pct) == (trial, 25.0, 41.5)
    assert (other.trial, other.achieved_occupancy_pct, other.tensor_active_pct) == (bare, None, None)
    database.record_profile(trial, unread)
    entry = database.leaderboard(ANY)[0]
    assert (entry.achieved_occupancy_pct, entry.tensor_active_pct) == (None, 41.5)
    read = database.trial(trial).profiles
    assert read[0] == first and read[3] == replace(unread, duration_us=None) and len(read) == 4


def test_a_diagnosis_reads_back_and_a_new_one_takes_its_place(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, failed())
    on_peaky = replace(diagnosis("softmax"), distribution="peaky", seed=3)
    stages = (diagnosis("scores", wrong=0), on_peaky, replace(diagnosis("output"), max_error=float("nan")))
    database.record_diagnosis(trial, (*stages, diagnosis(workload="long")))
    read = database.trial(trial).diagnoses
    assert read == (*stages[:2], replace(stages[2], max_error=None), diagnosis(workload="long"))
    database.record_diagnosis(trial, stages[:1])
    assert database.trial(trial).diagnoses == (diagnosis(workload="long"), stages[0])
    with pytest.raises(DatabaseError):
        database.record_diagnosis(trial, (stages[0], stages[0]))
    assert len(database.trial(trial).diagnoses) == 2


def test_a_stage_that_was_not_compared_reads_back_with_its_reason(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, failed())
    crashed = replace(diagnosis("merge", wrong=0), passed=False, max_error=None, limit=None, reason="it died")
    database.record_diagnosis(trial, (crashed,))
    assert database.trial(trial).diagnoses == (crashed,)
    with pytest.raises(DatabaseError):
        database.record_diagnosis(trial, (replace(crashed, passed=True),))


def test_what_a_tool_writes_can_be_stored_whatever_it_is(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, passed())
    noisy = replace(check("memcheck", findings=1), log="nul \0 surrogate \udc80")
    database.record_certification(trial, replace(certification(), passed=False, checks=(noisy,)))
    assert database.trial(trial).certifications[0].checks[0].log == "nul \N{REPLACEMENT CHARACTER} surrogate ?"


def test_findings_about_a_trial_that_is_not_there(database: Database) -> None:
    requests: list[Callable[[], object]] = [
        lambda: database.record_certification(99, certification()),
        lambda: database.record_profile(99, profile()),
        lambda: database.record_diagnosis(99, (diagnosis(),)),
        lambda: database.withdraw(99, "gone"),
    ]
    for request in requests:
        with pytest.raises(NotFoundError, match="a trial must be in the database, got 99"):
            request()


def test_every_check_has_a_name_that_the_database_knows(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, passed())
    database.record_certification(trial, certification())
    assert tuple(each.tool for each in database.trial(trial).certifications[0].checks) == CHECK_TOOLS
