"""Records are read as they were written, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from evotune_db import Database, DatabaseError
from evotune_db.records import LeaderboardFilter, NewTrial, OutcomeRecord, SearchRecord
from evotune_workers.gates.gate import GateResult
from evotune_workers.timing.summary import Timing
from tests.support.db.examples import DEVICE, SEARCH, build, failed, gate, passed, propose, record, timing
from tests.support.db.writer import start_writer

pytest_plugins = ["tests.support.db.fixtures"]
ANY = LeaderboardFilter()


def test_a_trial_reads_back_as_it_was_recorded(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    search = database.start_search(SEARCH)
    outcome = replace(passed(), builds=(build(), build("second")))
    trial = record(database, search, 3, outcome)
    details = database.trial(trial)
    assert details.record == SEARCH and details.search == search
    assert (details.builds, details.gates, details.timings) == (outcome.builds, outcome.gates, outcome.timings)
    assert details.device == DEVICE and details.same_binary_as is None
    stored = details.trial
    assert (stored.id, stored.number, stored.state, stored.objective) == (trial, 3, "passed", 0.5)
    assert stored.configuration == {"tile_m": 48, "persistent": True} and stored.configuration_key == "key 3"
    assert details.finished is not None
    assert before < details.proposed <= details.finished < datetime.now(UTC) + timedelta(seconds=1)
    assert details.proposed.utcoffset() == timedelta(0)
    assert details.leaderboard == tuple(database.leaderboard(ANY))


def test_a_stored_search_is_what_resume_needs(database: Database) -> None:
    search = database.start_search(SEARCH)
    database.add_trials(search, (NewTrial(1, {"tile_m": 16}, "key 1"),), "building")
    first = record(database, search, 0, passed(timing(censored=True)))
    record(database, search, 2, failed())
    copy = record(database, search, 3, passed(same_binary_as=first))
    stored = database.load_search(search)
    assert (stored.id, stored.record, stored.state) == (search, SEARCH, "abandoned")  # nobody holds it
    assert [(trial.number, trial.state, trial.censored) for trial in stored.trials] == [
        (0, "passed", True),
        (1, "building", False),
        (2, "failed", False),
        (3, "passed", True),
    ]
    assert [trial.objective for trial in stored.trials] == [0.5, None, None, 0.5]
    assert (stored.trials[2].failed_gate, stored.trials[2].reason) == ("numerics", "max error nan")
    assert database.trial(copy).same_binary_as == first


def test_the_builds_of_a_search_are_those_of_its_trials(database: Database) -> None:
    search, other = database.start_search(SEARCH), database.start_search(SEARCH)
    shared = replace(passed(), builds=(build("b"), build("a")), timings=(timing(),))
    trials = [record(database, search, number, each) for number, each in enumerate((failed(), shared, passed()))]
    record(database, other, 0, shared)
    found = database.builds(search)
    assert found == {trial: database.trial(trial).builds for trial in trials if database.trial(trial).builds}
    assert [each.key for each in found[trials[1]]] == ["b", "a"]


def test_a_search_ends_and_is_resumed_with_a_larger_budget(database: Database) -> None:
    search = database.start_search(SEARCH)
    database.finish_search(search, "interrupted")
    (summary,) = database.searches()
    assert summary.state == "interrupted" and summary.finished is not None and summary.finished >= summary.started
    trial = propose(database, search, 0)
    database.record_outcomes((), measuring=(trial,))
    database.resume_search(search, 50)
    database.record_outcomes((), measuring=(trial,))
    database.acquire_lease(search, print)
    assert (database.searches()[0].state, database.searches()[0].finished) == ("running", None)
    assert database.load_search(search).record.budget == 50


def test_searches_are_summed_up(database: Database) -> None:
    empty = database.start_search(replace(SEARCH, seed=2**40))
    search = database.start_search(SEARCH)
    record(database, search, 0, passed(timing(1.5)))
    best = record(database, search, 1, passed(timing(1.75), timing(1.6, "long")))
    record(database, search, 2, failed())
    propose(database, search, 3)
    first, second = database.searches()
    assert (first.id, first.seed, first.built, first.best_trial, first.best_speedup) == (empty, 2**40, 0, None, None)
    assert (second.id, second.workloads, second.budget) == (search, ("mission", "long"), 20)
    assert (second.built, second.passed, second.failed) == (3, 2, 1)
    assert (second.best_trial, second.best_speedup) == (best, 1.75)


def test_equal_builds_are_one_and_success_outlives_failure(database: Database) -> None:
    search = database.start_search(SEARCH)
    late = OutcomeRecord("failed", "build", "out of time", builds=(build(succeeded=False),))
    first = record(database, search, 0, late)
    assert database.trial(first).builds == (build(succeeded=False),)
    second = record(database, search, 1, passed())
    third = record(database, search, 2, late)
    for trial in (first, second, third):
        assert database.trial(trial).builds == (build(),)


def test_a_device_keeps_the_facts_that_a_timing_was_taken_under(database: Database) -> None:
    search = database.start_search(SEARCH)
    updated = replace(DEVICE, facts={**DEVICE.facts, "driver": "560.2"})
    first = record(database, search, 0, passed())
    second = record(database, search, 1, replace(passed(), device=updated))
    assert (database.trial(first).device, database.trial(second).device) == (DEVICE, updated)
    assert [(entry.rank, entry.trial) for entry in database.leaderboard(ANY)] == [(1, first), (2, second)]


def test_a_refused_outcome_writes_nothing(database: Database) -> None:
    search = database.start_search(SEARCH)
    trial = propose(database, search, 0)
    for refused in (
        replace(passed(), failed_gate="numerics"),
        replace(passed(), timings=(timing(), timing(1.8))),
        replace(passed(), timings=(timing(float("nan")),)),
        replace(passed(), device=None),
        replace(passed(), same_binary_as=trial),
        replace(passed(), same_binary_as=999),
    ):
        with pytest.raises(DatabaseError) as caught:
            database.record_outcome(trial, refused)
        assert "\n" not in str(caught.value)
    details = database.trial(trial)
    assert (details.trial.state, details.gates, details.timings, details.builds) == ("proposed", (), (), ())
    database.record_outcome(trial, passed())


def test_a_configuration_is_proposed_once_in_a_search(database: Database) -> None:
    search = database.start_search(SEARCH)
    propose(database, search, 0)
    with pytest.raises(DatabaseError):
        database.add_trial(search, 1, {}, "key 0")
    propose(database, database.start_search(SEARCH), 0)


def test_whatever_a_compiler_or_a_crash_writes_can_be_stored(database: Database) -> None:
    hostile = "nul \0 surrogate \udc80 quote ' ü 🚀"
    clean = "nul � surrogate ? quote ' ü 🚀"
    noisy = replace(gate(passed=False), reason=hostile, max_error=float("inf"), figures={hostile: [hostile]})
    outcome = OutcomeRecord("failed", "numerics", hostile, builds=(replace(build(), log=hostile),), gates=(noisy,))
    details = database.trial(record(database, database.start_search(SEARCH), 0, outcome))
    assert details.trial.reason == details.builds[0].log == details.gates[0].reason == clean
    assert details.gates[0].figures == {clean: [clean]} and details.gates[0].max_error is None


def test_figures_and_conditions_that_are_no_numbers_are_kept_as_text(database: Database) -> None:
    figures = {"ratio": float("nan"), "groups": [1, float("inf")], "worst": {"low": float("-inf")}}
    kept = {"ratio": "nan", "groups": [1, "inf"], "worst": {"low": "-inf"}}
    outcome = replace(
        passed(), gates=(replace(gate(), figures=figures),), timings=(replace(timing(), conditions=figures),)
    )
    details = database.trial(record(database, database.start_search(SEARCH), 0, outcome))
    assert details.gates[0].figures == details.timings[0].conditions == kept


def test_what_a_worker_returns_is_written_as_it_is(database: Database) -> None:
    checked = GateResult("numerics", True, None, "mission", "peaky", 1, 1e-3, 2e-3, figures={"groups": (1, 2)})
    numbers = (28.0, 28.0, 29.0, 30.0, 56.0, 2.0, 1.9, 2.1, 12, 0)
    timed = Timing("mission", "cold", "build", "sdpa", *numbers, False, {"candidate": [(1.0, 2.0)]})
    outcome = replace(passed(), gates=(checked,), timings=(timed,))
    details = database.trial(record(database, database.start_search(SEARCH), 0, outcome))
    [check], [read] = details.gates, details.timings
    assert (check.gate, check.max_error, check.figures) == ("numerics", 1e-3, {"groups": [1, 2]})
    assert (read.phase, read.build_key, read.samples) == ("search", "build", {"candidate": [[1.0, 2.0]]})


def test_a_space_and_a_kernel_are_stored_once_by_content(database: Database) -> None:
    changed: SearchRecord = replace(SEARCH, space=replace(SEARCH.space, hash="f" * 64, text="other"))
    first, again, other = (database.start_search(each) for each in (SEARCH, SEARCH, changed))
    assert database.load_search(first).record == database.load_search(again).record
    assert database.load_search(other).record.space.text == "other"


def test_processes_that_open_a_new_database_at_once_get_all_their_rows_in(url: str) -> None:
    writers = [start_writer(url, trials=20) for _ in range(3)]
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    with Database.open(url) as database:
        assert [search.passed for search in database.searches()] == [20] * 3
        assert len(database.leaderboard(ANY)) == 60


def test_a_number_beyond_64_bits_is_one_line(database: Database) -> None:
    with pytest.raises(DatabaseError, match="must fit into 64 bits"):
        database.start_search(replace(SEARCH, seed=2**70))
    assert database.searches() == []


def test_what_a_search_was_measured_on_is_its_first_trials_device(database: Database) -> None:
    search = database.start_search(SEARCH)
    assert database.measured_on(search) is None
    record(database, search, 0, failed())
    record(database, search, 1, passed())
    assert database.measured_on(search) == passed().device
    assert database.measured_on(database.start_search(SEARCH)) is None
