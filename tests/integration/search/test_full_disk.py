"""A search on a disk that fills up: one line, nothing blamed or corrupted, and it goes on when there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from evotune_db import Database
from tests.storm.record import FORGIVEN
from tests.support.command import evotune_started
from tests.support.db.server import Place, programs_or_skip, running_server
from tests.support.forked.process import ForkedProcess
from tests.support.namespaces import DISK, Disk, small_disk
from tests.support.paths import SAXPY
from tests.support.record import ask, wait_for_trials

SPACE = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [1, 2, 4, 8]
  mark_high: [0, 1, 2, 3, 4, 5]
  mark_low: [0]
  threads: [1]
  fault: {values: [none], kind: categorical}
"""
BUDGET = 24
RECORDING = "\n".join(["block,time_ms", *(f"{block},{block}.5" for block in range(1, BUDGET + 1))])
MEASURE = (str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--budget", str(BUDGET))
BUILD = (*MEASURE, "--build-only")
REPLAY = ("--replay", "recording.csv", "--budget", str(BUDGET))
GO_ON = ("--resume", "1")
# For the tables and a few trials.
ROOM_KIB = 720
# For half of what a search of the budget adds to tables that are there.
SERVER_ROOM_KIB = 180
# A busy machine may leave a configuration without a sound timing.
STATES = (
    f"SELECT CASE WHEN failed_gate IN {FORGIVEN} THEN 'passed' ELSE state END AS ending, count(*)"
    " FROM trial GROUP BY ending"
)
TRIALS = "SELECT id, number, configuration_key FROM trial ORDER BY number"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With what is searched."""
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "recording.csv").write_text(RECORDING)
    return tmp_path


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk("20m") as mounted:
        yield mounted


@pytest.mark.parametrize(
    ("search", "state"),
    [
        pytest.param(BUILD, "built", id="built"),
        pytest.param(REPLAY, "passed", id="replayed"),
        pytest.param(MEASURE, "passed", id="measured", marks=pytest.mark.storm),
    ],
)
def test_a_search_on_a_full_disk_ends_in_one_line_and_goes_on_when_there_is_room(
    folder: Path, disk: Disk, search: Sequence[str], state: str
) -> None:
    disk.fill(room_kib=ROOM_KIB)
    database = ("--db", str(DISK / "evotune.db"))
    line = refused(end(start(folder, disk.files, *search, *database)))
    assert "evotune.db on a full one" in line
    disk.free()
    finished(end(start(folder, disk.files, *GO_ON, *database)))
    disk.copy_out("evotune.db", folder)
    assert ask(folder / "evotune.db", "PRAGMA integrity_check") == [("ok",)]
    assert ask(folder / "evotune.db", STATES) == [(state, BUDGET)]


def test_a_full_disk_of_the_server_ends_a_search_in_one_line_until_there_is_room(folder: Path) -> None:
    with (
        small_disk("80m") as disk,
        running_server(programs_or_skip(), place=Place(disk.enter, data=DISK / "data")) as server,
    ):
        url = server.new_database()
        Database.open(url).close()  # makes the tables
        disk.fill(room_kib=SERVER_ROOM_KIB)
        line = refused(end(start(folder, (), *BUILD, "--db", url)))
        assert "the server's disk must have room, got postgresql://" in line
        with psycopg.connect(url, autocommit=True) as connection:
            recorded = connection.execute(TRIALS).fetchall()
            disk.free()
            finished(end(start(folder, (), *GO_ON, "--db", url)))
            assert connection.execute(TRIALS).fetchall()[: len(recorded)] == recorded
            assert connection.execute(STATES).fetchall() == [("built", BUDGET)]


def test_a_full_temporary_folder_ends_a_search_in_one_line_that_blames_no_configuration(
    folder: Path, disk: Disk
) -> None:
    search = start(folder, disk.files, *BUILD, TMPDIR=str(DISK), EVOTUNE_CACHE=str(folder / "cache"))
    wait_for_trials(folder / "evotune.db", 2, search)
    disk.fill()
    line = refused(end(search))
    assert f"a worker cannot go on: No space left on device: {DISK}" in line
    states = {state for state, _ in ask(folder / "evotune.db", STATES)}
    assert "built" in states and "failed" not in states


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def start(folder: Path, namespaces: Sequence[str], *search: str, **variables: str) -> ForkedProcess:
    """Start a search in a folder, inside of these namespaces."""
    return evotune_started("search", *search, folder=folder, namespaces=namespaces, variables=variables)


def end(search: ForkedProcess) -> Ended:
    with search:
        out, err = search.communicate(timeout=200)
    return Ended(search.wait(), out, err)


def refused(ended: Ended) -> str:
    """Return the one line that says why. Ray adds lines of its own when it cannot write its logs."""
    assert ended.code == 2 and "Traceback" not in ended.err, ended
    [line] = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert "then go on: evotune search" in line
    return line


def finished(ended: Ended) -> None:
    assert ended.code == 0, ended
