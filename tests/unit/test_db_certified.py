"""SQLite itself refuses an untrue certificate and a built trial's entry, from any client, foreign keys on or off."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from evotune_db import Database
from tests.db_examples import SEARCH, build, built, certification, passed, record, timing


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which trial 1 is certified, 2 has a certification that failed, 3 none, 4 another build's.

    Trial 5 is built and not run. Certifications are numbered 1 for trial 1, 2 for trial 2, 3 for trial 4.
    """
    file = tmp_path_factory.mktemp("recorded") / "evotune.db"
    with Database.open(str(file)) as database:
        search = database.start_search(SEARCH)
        trials = [record(database, search, number, passed()) for number in range(4)]
        record(database, search, 4, built())
        database.record_certification(trials[0], certification())
        database.record_certification(trials[1], certification("racecheck"))
        database.record_certification(trials[3], certification(build_key="other"), builds=(build("other"),))
    return file


@pytest.fixture(params=[False, True], ids=["foreign keys off", "foreign keys on"])
def raw(request: pytest.FixtureRequest, recorded: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of that database, opened without evotune."""
    connection = sqlite3.connect(shutil.copy(recorded, tmp_path), isolation_level=None)
    connection.execute(f"PRAGMA foreign_keys = {int(request.param)}")
    yield connection
    connection.close()


def certified(raw: sqlite3.Connection) -> list[tuple[int, int]]:
    return raw.execute("SELECT trial_id, certified FROM leaderboard ORDER BY 1").fetchall()


def test_only_a_certification_that_passed_of_the_timed_build_counts(raw: sqlite3.Connection) -> None:
    assert certified(raw) == [(1, 1), (2, 0), (3, 0), (4, 0)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaderboard SET certified = 1 WHERE trial_id = 3",
        "UPDATE OR IGNORE leaderboard SET certified = 1, certification_id = 1 WHERE trial_id = 3",
        "UPDATE leaderboard SET certified = 1, certification_id = 1 WHERE trial_id = 2",
        "UPDATE leaderboard SET certified = 1 WHERE trial_id = 2",
        "UPDATE leaderboard SET certified = 1, certification_id = 3 WHERE trial_id = 4",
        "UPDATE leaderboard SET certified = 1, certification_id = 3, build_id = 2 WHERE trial_id = 4",
        "UPDATE leaderboard SET certified = 1, certification_id = 99 WHERE trial_id = 3",
        "UPDATE leaderboard SET certification_id = NULL WHERE trial_id = 1",
        "UPDATE leaderboard SET build_id = 2 WHERE trial_id = 3",
        "UPDATE leaderboard SET build_id = NULL WHERE trial_id = 3",
        "UPDATE timing SET build_id = 2 WHERE trial_id = 1 AND mode = 'cold'",
        "UPDATE certification SET passed = 0 WHERE id = 1",
        "UPDATE certification SET passed = 1 WHERE id = 2",
        "UPDATE certification SET trial_id = 3 WHERE id = 1",
        "UPDATE certification SET build_id = 2 WHERE id = 1",
        "UPDATE certification SET different_runs = 1 WHERE id = 1",
        "DELETE FROM certification WHERE id = 1",
        "REPLACE INTO certification SELECT id, trial_id, build_id, device_id, made, 0, runs, different_runs "
        "FROM certification WHERE id = 1",
        "UPDATE certification_check SET passed = 0, findings = 3 WHERE certification_id = 1 AND tool = 'memcheck'",
        "UPDATE certification_check SET findings = 3 WHERE certification_id = 1 AND tool = 'memcheck'",
        "UPDATE certification_check SET certification_passed = 0 WHERE certification_id = 1",
        "UPDATE certification_check SET certification_id = 1 WHERE certification_id = 2 AND tool = 'racecheck'",
        "UPDATE certification_check SET tool = 'lint' WHERE certification_id = 1 AND tool = 'memcheck'",
        "INSERT INTO certification_check VALUES (99, 'memcheck', 1, 1, 0, '', 1.0, '')",
    ],
)
def test_an_untrue_certificate_is_refused(raw: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)
    assert certified(raw) == [(1, 1), (2, 0), (3, 0), (4, 0)]


def test_a_certificate_can_be_taken_from_an_entry_and_then_goes(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE leaderboard SET certified = 0, certification_id = NULL WHERE trial_id = 1")
    raw.execute("DELETE FROM certification_check WHERE certification_id = 1")
    raw.execute("DELETE FROM certification WHERE id = 1")
    assert certified(raw)[0] == (1, 0)


def copy_row(raw: sqlite3.Connection, table: str, where: str, **changed: str) -> None:
    """Inserts a row again, with some columns changed."""
    columns = [name for _, name, *_ in raw.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(name, name) for name in columns)
    raw.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {where}")


def test_a_built_trial_cannot_be_listed_even_with_a_timing_of_its_own(raw: sqlite3.Connection) -> None:
    copy_row(raw, "timing", "trial_id = 3 AND mode = 'cold'", id="100", trial_id="5")
    for state in ("built", "passed"):
        with pytest.raises(sqlite3.IntegrityError):
            copy_row(raw, "leaderboard", "trial_id = 3", trial_id="5", timing_id="100", trial_state=f"'{state}'")
    raw.execute("UPDATE trial SET state = 'passed' WHERE id = 5")
    copy_row(raw, "leaderboard", "trial_id = 3", trial_id="5", timing_id="100")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial SET state = 'built', device_id = NULL, objective = NULL WHERE id = 1",
        "UPDATE trial SET device_id = 1 WHERE id = 5",
        "UPDATE trial SET finished = NULL WHERE id = 5",
        "UPDATE trial SET failed_gate = 'build' WHERE id = 5",
        "UPDATE trial SET objective = 0.5 WHERE id = 5",
        "UPDATE trial SET state = 'compiled' WHERE id = 5",
    ],
)
def test_a_built_trial_has_nothing_of_a_run_and_a_listed_one_cannot_become_one(
    raw: sqlite3.Connection, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO diagnosis VALUES (NULL, 1, 'mission', '', 1, 0, 0, 0, 0, NULL, '', 'normal', 1, NULL)",
        "INSERT INTO diagnosis VALUES (NULL, 1, 'mission', 'scores', 1, 0, 0, 0, -1, NULL, '', 'normal', 1, NULL)",
        "INSERT INTO diagnosis VALUES (NULL, 1, 'mission', 'scores', 1, 0, 0, 0, 0, NULL, '', 'normal', 1, 'crashed')",
    ],
)
def test_a_diagnosis_names_a_stage_counts_what_is_wrong_and_passes_nothing_that_was_not_compared(
    raw: sqlite3.Connection, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)


def test_the_figures_of_the_profiler_are_columns(recorded: Path) -> None:
    figures = (
        "duration_us, tensor_active_pct, warp_execution_efficiency_pct, dram_throughput_pct, l2_throughput_pct, "
        "achieved_occupancy_pct, registers, metrics"
    )
    with closing(sqlite3.connect(recorded)) as connection:
        assert connection.execute(f"SELECT {figures} FROM profile JOIN trial ON trial.id = trial_id").fetchall() == []


def test_a_trial_can_be_confirmed_after_it_was_certified(recorded: Path, tmp_path: Path) -> None:
    with Database.open(str(shutil.copy(recorded, tmp_path))) as database:
        device = database.trial(1).device
        assert device is not None
        database.record_confirmation(1, device, (), (timing(1.9, phase="confirm"),), True, None)
        (entry,) = database.trial(1).leaderboard
        assert entry.confirmed and entry.certified
