"""The leaderboard as the database keeps it: what is listed, in which order, and what leaves it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evotune_db import Database, DatabaseError
from evotune_db.records import DeviceRecord, KernelRecord, LeaderboardEntry, LeaderboardFilter, OutcomeRecord
from tests.support.db.examples import DEVICE, SEARCH, build, failed, gate, passed, record, timing

pytest_plugins = ["tests.support.db.fixtures"]
ANY = LeaderboardFilter()


def order(entries: list[LeaderboardEntry]) -> list[tuple[int, int]]:
    return [(entry.rank, entry.trial) for entry in entries]


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
    found = database.starting_points("attention_fwd", top=1)
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
    with pytest.raises(DatabaseError, match="must name a recorded build, got the key rebuilt"):
        database.record_confirmation(trial, DEVICE, (), (again,), True, None)
    assert not database.leaderboard(ANY)[0].confirmed
    database.record_confirmation(trial, DEVICE, (), (again,), True, None, builds=(build("rebuilt"),))
    assert database.trial(trial).timings[-1] == again
