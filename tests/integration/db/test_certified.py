"""The database itself refuses an untrue certificate and a built trial's entry, from any client.

On SQLite also from one without foreign keys.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from evotune_db import Database
from tests.support.db.client import Client, copy_row, execute, refused, sqlite_only
from tests.support.db.examples import SEARCH, build, built, certification, passed, record

pytest_plugins = ["tests.support.db.fixtures"]
CERTIFIED = [(1, True), (2, False), (3, False), (4, False)]


@pytest.fixture(scope="module")
def recorded(client: Client) -> Client:
    """Certify trial 1; trial 2's certification failed, 3 has none, and 4's is of another build.

    Trial 5 is built and not run. Certifications are numbered 1 for trial 1, 2 for trial 2, 3 for trial 4.
    """
    with Database.open(client.url) as database:
        search = database.start_search(SEARCH)
        trials = [record(database, search, number, passed()) for number in range(4)]
        record(database, search, 4, built())
        database.record_certification(trials[0], certification())
        database.record_certification(trials[1], certification("racecheck"))
        database.record_certification(trials[3], certification(build_key="other"), builds=(build("other"),))
    return client


@pytest.fixture
def raw(recorded: Client) -> Iterator[Connection]:
    """Open a transaction there, and roll it back afterwards."""
    with recorded.transaction() as connection:
        yield connection


def certified(raw: Connection) -> list[tuple[int, bool]]:
    rows = raw.execute(text("SELECT trial_id, certified FROM leaderboard ORDER BY 1"))
    return [(row.trial_id, row.certified) for row in rows]


def test_only_a_certification_that_passed_of_the_timed_build_counts(raw: Connection) -> None:
    assert certified(raw) == CERTIFIED


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaderboard SET certified = true WHERE trial_id = 3",
        "UPDATE leaderboard SET certified = true, certification_id = 1 WHERE trial_id = 3",
        "UPDATE leaderboard SET certified = true, certification_id = 1 WHERE trial_id = 2",
        "UPDATE leaderboard SET certified = true, certification_id = 2 WHERE trial_id = 2",
        "UPDATE leaderboard SET certified = true WHERE trial_id = 2",
        "UPDATE leaderboard SET certified = true, certification_id = 3 WHERE trial_id = 4",
        "UPDATE leaderboard SET certified = true, certification_id = 3, build_id = 2 WHERE trial_id = 4",
        "UPDATE leaderboard SET certified = true, certification_id = 99 WHERE trial_id = 3",
        "UPDATE leaderboard SET certification_id = NULL WHERE trial_id = 1",
        "UPDATE leaderboard SET build_id = 2 WHERE trial_id = 3",
        "UPDATE leaderboard SET build_id = NULL WHERE trial_id = 3",
        "UPDATE timing SET build_id = 2 WHERE trial_id = 1 AND mode = 'cold'",
        "UPDATE certification SET passed = false WHERE id = 1",
        "UPDATE certification SET passed = true WHERE id = 2",
        "UPDATE certification SET trial_id = 3 WHERE id = 1",
        "UPDATE certification SET build_id = 2 WHERE id = 1",
        "UPDATE certification SET different_runs = 1 WHERE id = 1",
        "DELETE FROM certification WHERE id = 1",
        "UPDATE certification_check SET passed = false, findings = 3 WHERE certification_id = 1 AND tool = 'memcheck'",
        "UPDATE certification_check SET findings = 3 WHERE certification_id = 1 AND tool = 'memcheck'",
        "UPDATE certification_check SET certification_passed = false WHERE certification_id = 1",
        "UPDATE certification_check SET certification_id = 1 WHERE certification_id = 2 AND tool = 'racecheck'",
        "UPDATE certification_check SET tool = 'lint' WHERE certification_id = 1 AND tool = 'memcheck'",
        "INSERT INTO certification_check VALUES (99, 'memcheck', true, true, 0, '', 1.0, '')",
    ],
)
def test_an_untrue_certificate_is_refused(raw: Connection, statement: str) -> None:
    with refused(raw):
        execute(raw, statement)


@sqlite_only
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE OR IGNORE leaderboard SET certified = 1, certification_id = 1 WHERE trial_id = 3",
        "REPLACE INTO certification SELECT id, trial_id, build_id, device_id, made, 0, runs, different_runs "
        "FROM certification WHERE id = 1",
    ],
)
def test_sqlites_own_ways_to_settle_a_conflict_make_none(raw: Connection, statement: str) -> None:
    with pytest.raises(IntegrityError):
        execute(raw, statement)
    assert certified(raw) == CERTIFIED


def test_a_certificate_that_counts_stays_when_its_checks_go(raw: Connection) -> None:
    execute(raw, "DELETE FROM certification_check WHERE certification_id = 1")
    with refused(raw):
        execute(raw, "DELETE FROM certification WHERE id = 1")


def test_a_certificate_can_be_taken_from_an_entry_and_then_goes(raw: Connection) -> None:
    execute(raw, "UPDATE leaderboard SET certified = false, certification_id = NULL WHERE trial_id = 1")
    execute(raw, "DELETE FROM certification_check WHERE certification_id = 1")
    execute(raw, "DELETE FROM certification WHERE id = 1")
    assert certified(raw)[0] == (1, False)


def test_a_built_trial_cannot_be_listed_even_with_a_timing_of_its_own(raw: Connection) -> None:
    copy_row(raw, "timing", "trial_id = 3 AND mode = 'cold'", id="100", trial_id="5")
    for state in ("built", "passed"):
        with refused(raw):
            copy_row(raw, "leaderboard", "trial_id = 3", trial_id="5", timing_id="100", trial_state=f"'{state}'")
    execute(raw, "UPDATE trial SET state = 'passed' WHERE id = 5")
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
def test_a_built_trial_has_nothing_of_a_run_and_a_listed_one_cannot_become_one(raw: Connection, statement: str) -> None:
    with refused(raw):
        execute(raw, statement)


def diagnose(raw: Connection, stage: str = "scores", wrong: int = 0, reason: str | None = None) -> None:
    statement = (
        "INSERT INTO diagnosis (trial_id, workload, stage, passed, wrong, tile_map, reason) "
        "VALUES (1, 'mission', :stage, true, :wrong, '', :reason)"
    )
    execute(raw, statement, stage=stage, wrong=wrong, reason=reason)


def test_a_diagnosis_names_a_stage_counts_what_is_wrong_and_passes_nothing_that_was_not_compared(
    raw: Connection,
) -> None:
    with refused(raw, match="ck_diagnosis_stage"):
        diagnose(raw, stage="")
    with refused(raw, match="ck_diagnosis_wrong"):
        diagnose(raw, wrong=-1)
    with refused(raw, match="ck_diagnosis_reason"):
        diagnose(raw, reason="crashed")
    diagnose(raw)


def test_the_figures_of_the_profiler_are_columns(raw: Connection) -> None:
    figures = (
        "duration_us, tensor_active_pct, warp_execution_efficiency_pct, dram_throughput_pct, l2_throughput_pct, "
        "achieved_occupancy_pct, registers, metrics"
    )
    assert raw.execute(text(f"SELECT {figures} FROM profile JOIN trial ON trial.id = trial_id")).all() == []
