"""What is recorded is what is read, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from evotune_db import Database, DatabaseError
from evotune_db.engine import open_engines
from evotune_db.errors import as_database_errors
from evotune_db.records import (
    DeviceRecord,
    KernelRecord,
    LeaderboardEntry,
    LeaderboardFilter,
    NewTrial,
    OutcomeRecord,
    SearchRecord,
)
from tests.db_examples import DEVICE, SEARCH, build, failed, gate, passed, propose, record, timing
from tests.db_writer import start_writer
from tests.integration.db_server import Server

pytest_plugins = ["tests.integration.db_fixtures"]
ANY = LeaderboardFilter()


def order(entries: list[LeaderboardEntry]) -> list[tuple[int, int]]:
    return [(entry.rank, entry.trial) for entry in entries]


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


def test_a_listed_trial_has_the_documented_figures(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 1, passed())
    assert database.leaderboard(ANY) == [
        LeaderboardEntry(
            rank=1,
            trial=trial,
            kernel="attention_fwd",
            target="sm_89",
            device="Test L4",
            workload="mission",
            configuration={"tile_m": 16, "persistent": True},
            median_us=14.0,
            speedup=2.0,
            speedup_low=1.99,
            speedup_high=2.01,
            baseline="sdpa_flash",
            baseline_us=28.0,
            confirmed=False,
            certified=False,
        )
    ]


def test_only_a_trial_that_passed_with_its_own_binary_and_a_complete_cold_timing_is_listed(database: Database) -> None:
    search = database.start_search(SEARCH)
    listed = record(database, search, 0, passed(timing(1.5), timing(1.6, "long", censored=True)))
    record(database, search, 1, failed())
    record(database, search, 2, passed(timing(censored=True)))
    record(database, search, 3, passed(timing(mode="warm")))
    record(database, search, 4, passed(same_binary_as=listed))
    record(
        database, search, 5, OutcomeRecord("failed", "confirm", device=DEVICE, builds=(build(),), timings=(timing(),))
    )
    assert [(entry.trial, entry.workload) for entry in database.leaderboard(ANY)] == [(listed, "mission")]


def test_a_stored_search_is_what_resume_needs(database: Database) -> None:
    search = database.start_search(SEARCH)
    database.add_trials(search, (NewTrial(1, {"tile_m": 16}, "key 1"),), "building")
    first = record(database, search, 0, passed(timing(censored=True)))
    record(database, search, 2, failed())
    copy = record(database, search, 3, passed(same_binary_as=first))
    stored = database.load_search(search)
    assert (stored.id, stored.record, stored.state) == (search, SEARCH, "running")
    assert [(trial.number, trial.state, trial.censored) for trial in stored.trials] == [
        (0, "passed", True),
        (1, "building", False),
        (2, "failed", False),
        (3, "passed", True),
    ]
    assert [trial.objective for trial in stored.trials] == [0.5, None, None, 0.5]
    assert (stored.trials[2].failed_gate, stored.trials[2].reason) == ("numerics", "max error nan")
    assert database.trial(copy).same_binary_as == first


def test_a_search_ends_and_is_resumed_with_a_larger_budget(database: Database) -> None:
    search = database.start_search(SEARCH)
    database.finish_search(search, "interrupted")
    (summary,) = database.searches()
    assert summary.state == "interrupted" and summary.finished is not None and summary.finished >= summary.started
    trial = propose(database, search, 0)
    database.record_outcomes((), measuring=(trial,))
    database.resume_search(search, 50)
    database.record_outcomes((), measuring=(trial,))
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


def test_the_ranking_counts_within_kernel_target_device_and_workload(database: Database) -> None:
    search = database.start_search(SEARCH)
    slow = record(database, search, 0, passed(timing(1.2), timing(3.0, "long")))
    fast = record(database, search, 1, passed(timing(1.4)))
    tied = record(database, search, 2, passed(timing(1.4)))
    other = database.start_search(replace(SEARCH, kernel=KernelRecord("gemm", "d" * 64)))
    gemm = record(database, other, 0, passed(timing(1.1)))
    older = database.start_search(replace(SEARCH, kernel=KernelRecord("attention_fwd", "e" * 64)))
    fastest = record(database, older, 0, passed(timing(1.5)))
    assert [(entry.kernel, entry.workload, entry.rank, entry.trial) for entry in database.leaderboard(ANY)] == [
        ("attention_fwd", "long", 1, slow),
        ("attention_fwd", "mission", 1, fastest),
        ("attention_fwd", "mission", 2, fast),
        ("attention_fwd", "mission", 3, tied),
        ("attention_fwd", "mission", 4, slow),
        ("gemm", "mission", 1, gemm),
    ]
    assert order(database.leaderboard(LeaderboardFilter(top=1))) == [(1, slow), (1, fastest), (1, gemm)]


def test_a_search_may_begin_with_the_best_of_each_version_of_its_kernel(database: Database) -> None:
    newer = replace(SEARCH, kernel=KernelRecord("attention_fwd", "d" * 64))
    other = replace(SEARCH, kernel=KernelRecord("softmax", "e" * 64))
    first, second, third = (database.start_search(each) for each in (SEARCH, newer, other))
    record(database, first, 1, passed(timing(1.5)))
    best = record(database, first, 2, passed(timing(2.5), timing(1.1, workload="long")))
    record(database, first, 3, failed())
    of_newer = record(database, second, 1, passed(timing(1.2)))
    record(database, third, 1, passed(timing(3.0)))
    found = database.precedents("attention_fwd", top=1)
    places = [(each.trial, each.search, each.kernel_hash[0], each.workload, each.place) for each in found]
    assert places == [
        (best, first, "a", "long", 1),
        (best, first, "a", "mission", 1),
        (of_newer, second, "d", "mission", 1),
    ]
    assert found[0].configuration == {"tile_m": 32, "persistent": True}
    assert (found[0].target, found[0].device, found[0].device_kind) == ("sm_89", DEVICE.name, "cuda")


def test_the_leaderboard_is_filtered(database: Database) -> None:
    first = database.start_search(SEARCH)
    slow = record(database, first, 0, passed(timing(1.2)))
    second = database.start_search(replace(SEARCH, target="sm_90a"))
    h200 = DeviceRecord("GPU-22BB", "NVIDIA H200 100%", "cuda", {})
    fast = record(database, second, 0, replace(passed(timing(1.4)), device=h200))
    last = record(database, first, 1, passed(timing(1.1)))

    def found(wanted: LeaderboardFilter) -> list[tuple[int, int]]:
        return order(database.leaderboard(wanted))

    assert found(LeaderboardFilter(device="h200")) == found(LeaderboardFilter(device="22bb")) == [(1, fast)]
    assert found(LeaderboardFilter(device="0%")) == [(1, fast)] and found(LeaderboardFilter(device="_")) == []
    assert found(LeaderboardFilter(target="sm_90a")) == [(1, fast)]
    assert found(LeaderboardFilter(search=first)) == [(1, slow), (2, last)]
    assert found(LeaderboardFilter(trial=last, top=1)) == [(2, last)]
    assert found(LeaderboardFilter(kernel="gemm")) == found(LeaderboardFilter(workload="long")) == []


def test_a_confirmed_trial_ranks_first_with_its_new_timing(database: Database) -> None:
    search = database.start_search(SEARCH)
    finalist = record(database, search, 0, passed(timing(1.5), timing(1.4, "long")))
    faster = record(database, search, 1, passed(timing(1.8)))
    new_gate, new_timing = gate(seed=99), timing(1.45, phase="confirm")
    database.record_confirmation(finalist, DEVICE, (new_gate,), (new_timing,), True, None)
    entries = database.leaderboard(LeaderboardFilter(workload="mission"))
    assert order(entries) == [(1, finalist), (2, faster)]
    assert entries[0].confirmed and entries[0].speedup == 1.45 and not entries[1].confirmed
    assert not database.leaderboard(LeaderboardFilter(workload="long"))[0].confirmed
    details = database.trial(finalist)
    assert details.gates[-1] == new_gate and details.timings[-1] == new_timing and len(details.timings) == 3
    assert database.searches()[0].best_trial == finalist


def test_a_trial_that_is_not_confirmed_fails_and_leaves_the_leaderboard(database: Database) -> None:
    search = database.start_search(SEARCH)
    finalist = record(database, search, 0, passed(timing(1.5), timing(1.4, "long")))
    copy = record(database, search, 1, passed(same_binary_as=finalist))
    new_gate = gate(passed=False, seed=99)
    database.record_confirmation(finalist, DEVICE, (new_gate,), (), False, "max error 1 at seed 99")
    assert database.leaderboard(ANY) == []
    for trial in (finalist, copy):
        stored = database.trial(trial).trial
        assert (stored.state, stored.failed_gate, stored.reason) == ("failed", "confirm", "max error 1 at seed 99")
        assert stored.objective is None
    assert database.trial(finalist).gates[-1] == new_gate
    with pytest.raises(DatabaseError, match=f"must have passed, trial {finalist} is failed"):
        database.record_confirmation(finalist, DEVICE, (), (), True, None)


def test_a_confirmation_may_bring_the_build_that_it_timed(database: Database) -> None:
    trial = record(database, database.start_search(SEARCH), 0, passed())
    again = timing(1.9, phase="confirm", build_key="rebuilt")
    with pytest.raises(DatabaseError, match="must be of the phase confirm, got search"):
        database.record_confirmation(trial, DEVICE, (), (timing(1.9),), True, None)
    with pytest.raises(DatabaseError, match="must name a recorded build, got the key rebuilt"):
        database.record_confirmation(trial, DEVICE, (), (again,), True, None)
    assert not database.leaderboard(ANY)[0].confirmed
    database.record_confirmation(trial, DEVICE, (), (again,), True, None, builds=(build("rebuilt"),))
    assert database.trial(trial).timings[-1] == again


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
    assert order(database.leaderboard(ANY)) == [(1, first), (2, second)]


def test_a_refused_outcome_writes_nothing(database: Database) -> None:
    search = database.start_search(SEARCH)
    trial = propose(database, search, 0)
    for refused in (
        replace(passed(), failed_gate="numerics"),
        replace(passed(), timings=(timing(), timing(1.8))),
        replace(passed(), timings=(timing(float("nan")),)),
        replace(passed(), timings=(timing(phase="confirm"),)),
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


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial SET state = 'failed', failed_gate = 'numerics', objective = NULL WHERE id = 1",
        "UPDATE timing SET speedup = 99",
        "DELETE FROM timing",
        "UPDATE leaderboard SET speedup = 99",
        "UPDATE leaderboard SET search_id = 2",
        "UPDATE leaderboard SET trial_id = 2, timing_id = 2",
        "UPDATE leaderboard SET confirmed = true",
        "UPDATE timing SET speedup = 'NaN' WHERE id = 2",
    ],
)
def test_postgresql_refuses_an_untrue_leaderboard_from_any_client(server: Server, statement: str) -> None:
    url = server.new_database()
    with Database.open(url) as database:
        search = database.start_search(SEARCH)
        record(database, search, 0, passed(timing()))
        record(database, search, 1, passed(timing(censored=True)))
        database.start_search(SEARCH)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.IntegrityError):
        connection.execute(statement.encode())


def test_a_server_that_refuses_is_one_line(server: Server) -> None:
    for url, told in ((server.url("missing"), 'database "missing" does not exist'), (server.url("postgres", "x"), "x")):
        with pytest.raises(DatabaseError, match=told) as caught:
            Database.open(url)
        assert "\n" not in str(caught.value)


def test_a_connection_that_was_dropped_is_taken_up_again(server: Server) -> None:
    url = server.new_database()
    drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with Database.open(url) as database:
        search = database.start_search(SEARCH)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"{drop} AND datname = current_database()".encode())
        record(database, search, 0, passed())
        assert len(database.leaderboard(ANY)) == 1


def test_a_server_that_shuts_down_in_the_middle_is_one_line(server: Server) -> None:
    engines = open_engines(server.new_database())
    try:
        shut_down = pytest.raises(DatabaseError, match="the server must stay up")
        with shut_down, as_database_errors("here"), engines.write.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    finally:
        engines.close()


def test_a_server_with_another_programs_tables_is_refused_only_where_names_clash(server: Server) -> None:
    url = server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    Database.open(url).close()
    url = server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE trial (id INTEGER)")
    with pytest.raises(DatabaseError, match=r"another program's tables \(trial\)"):
        Database.open(url)


def test_what_a_search_was_measured_on_is_its_first_trials_device(database: Database) -> None:
    search = database.start_search(SEARCH)
    assert database.measured_on(search) is None
    record(database, search, 0, failed())
    record(database, search, 1, passed())
    assert database.measured_on(search) == passed().device
    assert database.measured_on(database.start_search(SEARCH)) is None
