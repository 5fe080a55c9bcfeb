"""Many rows of a search in one transaction, on SQLite and on PostgreSQL: what they come to is what each alone would."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from evotune_db import Database, DatabaseError, NotFoundError
from evotune_db.records import (
    DeviceRecord,
    HealthCheckRecord,
    LeaderboardFilter,
    NewTrial,
    OutcomeRecord,
    StoredSearch,
    TimingRecord,
    TrialDetails,
)
from tests.support.db.examples import DEVICE, MADE, SEARCH, build, built, failed, gate, passed, propose, record, timing
from tests.support.db.server import Server

pytest_plugins = ["tests.support.db.fixtures"]
ANY = LeaderboardFilter()
Outcomes = list[tuple[int, OutcomeRecord]]


@pytest.fixture
def another(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Open a second database of the same kind."""
    server: Server | None = request.getfixturevalue("server") if url.startswith("postgresql") else None
    with Database.open(server.new_database() if server else str(tmp_path / "another.db")) as opened:
        yield opened


def proposed(numbers: range) -> list[NewTrial]:
    return [NewTrial(number, {"tile_m": 16 * number}, f"key {number}") for number in numbers]


def own(key: str, *timings: TimingRecord) -> OutcomeRecord:
    """Return a passed outcome with a build of its own."""
    timed = tuple(replace(each, build_key=key) for each in timings or (timing(), timing(mode="warm")))
    return replace(passed(*timed), builds=(build(key),))


def of_every_kind(ids: tuple[int, ...]) -> Outcomes:
    """For 14 trials; not in the order of their ids, and with twins before and after the one whose binary they have."""
    elsewhere = DeviceRecord("GPU-2", "Another", "cuda", {})
    late = OutcomeRecord("failed", "build", "out of time", builds=(build("late", succeeded=False),))
    outcomes = [
        replace(own("a", timing(1.5), timing(1.25, workload="long")), reuse_key="offered"),
        failed(),
        own("b", timing(3.0, censored=True)),
        replace(passed(), same_binary_as=ids[4], builds=(build("twin"),), gates=(), timings=()),
        own("c", timing(1.75)),
        replace(passed(), same_binary_as=ids[4], builds=(build("twin"),), gates=(), timings=()),
        built(),
        late,
        own("late", timing(1.6)),
        replace(late, builds=(*late.builds, build("late", succeeded=False), build("second"))),
        passed(timing(1.1, build_key="earlier")),
        replace(own("d"), device=elsewhere),
        OutcomeRecord("failed", "build", "no builds"),
        replace(failed(), gates=(replace(gate(), max_error=float("inf"), reason="nul \0", figures={"ü": [1.5]}),)),
    ]
    return [*zip(ids, outcomes, strict=True)][::-1]


def recorded(database: Database, search: int) -> tuple[StoredSearch, list[TrialDetails]]:
    """Everything of a search but moments."""
    stored = database.load_search(search)
    details = [database.trial(each.id) for each in stored.trials]
    assert all((each.finished is None) == (each.trial.state in ("proposed", "building")) for each in details)
    return stored, [replace(each, proposed=MADE, finished=None) for each in details]


@pytest.mark.parametrize("chunk", [500, 3])
def test_a_batch_comes_to_what_the_same_outcomes_come_to_one_by_one(
    database: Database, another: Database, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("evotune_db.lookups.CHUNK", chunk)
    searches = []
    for each in (database, another):
        search = each.start_search(SEARCH)
        record(each, search, 99, own("earlier"))
        searches.append((each, search, each.add_trials(search, proposed(range(14)), "building")))
    (_, search, ids), (_, other_search, other_ids) = searches
    assert (search, ids) == (other_search, other_ids)
    database.record_outcomes(of_every_kind(ids), measuring=ids[:5])
    for trial in ids[:5]:
        another.record_outcomes((), measuring=(trial,))
    for trial, outcome in of_every_kind(ids):
        another.record_outcome(trial, outcome)
    assert recorded(database, search) == recorded(another, search)
    listed = database.leaderboard(ANY)
    assert listed == another.leaderboard(ANY) and len(listed) == 7
    assert database.own_binaries(search) == another.own_binaries(search)
    assert database.reusable(("offered",)) == another.reusable(("offered",))
    assert database.trial(ids[7]).builds == (build("late"),), "the build that succeeded is the one that is kept"


def test_trials_are_added_with_their_ids_in_the_order_given(database: Database) -> None:
    search = database.start_search(SEARCH)
    ids = database.add_trials(search, [*proposed(range(10))][::-1])
    assert [database.trial(trial).trial.number for trial in ids] == [*range(9, -1, -1)]
    assert [trial.state for trial in database.load_search(search).trials] == ["proposed"] * 10
    assert database.add_trials(search, ()) == ()
    for refused in (proposed(range(11, 9, -1)) * 2, proposed(range(12, 8, -1))):
        with pytest.raises(DatabaseError):
            database.add_trials(search, refused)
    assert len(database.load_search(search).trials) == 10


def test_trials_are_marked_all_or_none(database: Database) -> None:
    search = database.start_search(SEARCH)
    ids = database.add_trials(search, proposed(range(4)))
    database.record_outcomes((), measuring=(*ids[::-1], ids[0]))
    database.record_outcome(ids[1], failed())
    with pytest.raises(DatabaseError, match=rf"has one outcome, trial {ids[1]} has one already \(failed\)"):
        database.record_outcomes((), measuring=ids)
    with pytest.raises(NotFoundError, match="a trial must be in the database, got 999"):
        database.record_outcomes((), measuring=(999, ids[0]))
    assert [trial.state for trial in database.load_search(search).trials] == ["measuring", "failed", *["measuring"] * 2]


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        pytest.param(replace(own("x"), failed_gate="numerics"), "ck_trial_failed_gate", id="passed and failed"),
        pytest.param(passed(timing(build_key="nobody's")), "must name a recorded build", id="no such build"),
        pytest.param(own("x", timing(), timing(1.8)), "leaderboard", id="a workload listed twice"),
        pytest.param(replace(own("x"), same_binary_as=999), "(?i)foreign key", id="a twin of nothing"),
    ],
)
def test_one_outcome_that_is_refused_leaves_nothing_of_its_batch(
    database: Database, refused: OutcomeRecord, told: str
) -> None:
    search = database.start_search(SEARCH)
    ids = database.add_trials(search, proposed(range(3)))
    before = recorded(database, search)
    with pytest.raises(DatabaseError, match=told):
        database.record_outcomes([(ids[0], own("a")), (ids[1], refused), (ids[2], own("c"))])
    assert recorded(database, search) == before and database.leaderboard(ANY) == []
    database.record_outcomes([(trial, own(f"now {trial}")) for trial in ids])
    assert len(database.leaderboard(ANY)) == 3


def test_a_trial_has_one_outcome_in_a_batch_too(database: Database) -> None:
    search = database.start_search(SEARCH)
    ids = database.add_trials(search, proposed(range(2)))
    with pytest.raises(DatabaseError, match=f"got several of trial {ids[1]} at once"):
        database.record_outcomes([(ids[1], failed()), (ids[0], failed()), (ids[1], passed())])
    with pytest.raises(NotFoundError, match="got 999"):
        database.record_outcomes([(ids[0], failed()), (999, failed())])
    database.record_outcome(ids[0], failed())
    with pytest.raises(DatabaseError, match=f"trial {ids[0]} has one already"):
        database.record_outcomes([(ids[1], passed()), (ids[0], passed())])
    database.record_outcomes(())
    assert [trial.state for trial in database.load_search(search).trials] == ["failed", "proposed"]


def test_reopened_trials_are_listed_by_what_a_batch_measured_anew(database: Database) -> None:
    """Also one that had been confirmed; whoever had taken an outcome over has the new one."""
    search, follower_of = database.start_search(SEARCH), {}
    ids = [record(database, search, number, replace(passed(timing(3.0)), reuse_key=str(number))) for number in range(3)]
    database.record_confirmation(ids[0], DEVICE, (gate(),), (timing(2.9, phase="confirm"),), True, None)
    elsewhere = database.start_search(SEARCH)
    for number, origin in enumerate(ids[:2]):
        follower_of[origin] = propose(database, elsewhere, number)
        assert database.reuse(follower_of[origin], origin, "measured elsewhere")
    check = database.record_health_check(search, HealthCheckRecord(ids[2], "gpu 0", DEVICE, "odd", "slow", 1.0, {}))
    database.reopen_trials(search, check, (0, 1))

    fresh = propose(database, search, 3)
    anew = [replace(passed(timing(speedup)), objective=1 / speedup) for speedup in (1.2, 1.3, 1.4)]
    database.record_outcomes([(fresh, anew[2]), (ids[0], anew[0]), (ids[1], anew[1])])
    entries = {entry.trial: (entry.speedup, entry.confirmed) for entry in database.leaderboard(ANY)}
    assert entries == {ids[2]: (3.0, False), fresh: (1.4, False), ids[1]: (1.3, False), ids[0]: (1.2, False)}
    for origin, outcome in zip(ids[:2], anew[:2], strict=True):
        assert database.trial(follower_of[origin]).trial.objective == outcome.objective
        assert len(database.trial(origin).timings) == 1


def test_two_processes_that_record_the_same_builds_at_once_do_not_wait_for_each_other(url: str) -> None:
    keys = [f"{key:02d}" for key in range(30)]
    start = Barrier(2)

    def write(order: list[str]) -> list[str]:
        with Database.open(url) as database:
            search = database.start_search(SEARCH)
            ids = database.add_trials(search, proposed(range(30)))
            start.wait()
            database.record_outcomes([(trial, own(key)) for trial, key in zip(ids, order, strict=True)])
            return [database.trial(trial).builds[0].key for trial in ids]

    Database.open(url).close()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, (keys, keys[::-1]))) == [keys, keys[::-1]]
