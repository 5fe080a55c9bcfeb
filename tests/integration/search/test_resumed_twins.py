"""A resumed search does not measure a binary again under another configuration's name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evotune.display.progress import LineReporter
from evotune.display.terminal import console
from evotune.search.recorder import Recorder
from evotune.search.study import Study
from evotune.space import ValidSet, configuration_key, load_space
from evotune_db import Database, DatabaseError
from evotune_db.records import StoredTrial
from evotune_workers.kernel.device import cpu_device
from tests.support.db.examples import SEARCH, failed, passed, record, timing
from tests.support.paths import SAXPY
from tests.support.saxpy import Bench


def valid_set() -> ValidSet:
    space = load_space(SAXPY / "cpu.yaml")
    return space.enumerate(cpu_device().limits, lambda configuration: {"step_bytes": 4})


def recorder(database: Database, search: int) -> Recorder:
    return Recorder(database, search, Study(valid_set(), "random", 0), LineReporter(console(sys.stdout)), {})


def add(database: Database, search: int, number: int, threads: int, unroll: int = 8) -> StoredTrial:
    configuration: dict[str, bool | int | str] = {"unroll": unroll, "threads": threads, "fault": "none"}
    database.add_trial(search, number, configuration, configuration_key(configuration))
    return database.load_search(search).trials[number]


def test_a_binary_that_was_recorded_before_a_resume_is_shared_after_it(bench: Bench, tmp_path: Path) -> None:
    first, second = bench.build(threads=1), replace(bench.build(threads=2), number=1)
    with Database.open(str(tmp_path / "evotune.db")) as database:
        search = database.start_search(SEARCH)
        earlier = recorder(database, search)
        earlier.restore([add(database, search, 0, threads=1)])
        assert earlier.built(first)
        earlier.built_only(first)
        earlier.flush()

        add(database, search, 1, threads=2)
        resumed = recorder(database, search)
        assert [each.number for each in resumed.restore(database.load_search(search).trials)] == [1]
        assert not resumed.built(second), "it is not to be measured"
        resumed.flush()
        twin = database.load_search(search).trials[1]
        assert database.trial(twin.id).same_binary_as == database.load_search(search).trials[0].id
        assert (twin.state, twin.reason) == ("built", "same binary as trial 1: threads changed nothing")


def test_a_resumed_search_begins_with_the_best_that_it_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Database.open(str(tmp_path / "evotune.db")) as database:
        search = database.start_search(SEARCH)
        record(database, search, 0, replace(passed(timing(1.5)), objective=1 / 1.5))
        fastest = record(database, search, 1, replace(passed(timing(1.9)), objective=1 / 1.9))
        record(database, search, 2, replace(passed(timing(3.0, censored=True)), objective=1 / 3))
        resumed = recorder(database, search)
        resumed.restore(database.load_search(search).trials)
    told = capsys.readouterr().out
    assert told.startswith(f"best so far: trial {fastest}, 1.90x ") and "new best" not in told
    assert resumed.incumbent.speedups == {timing(1.9).workload: timing(1.9).speedup_low}


def test_an_outcome_that_is_refused_costs_no_other_its_place(bench: Bench, tmp_path: Path) -> None:
    """Another process has recorded one of two that come together."""
    first, second = bench.build(threads=1), replace(bench.build(threads=1, unroll=16), number=1)
    with Database.open(str(tmp_path / "evotune.db")) as database:
        search = database.start_search(SEARCH)
        writing = recorder(database, search)
        trials = [add(database, search, number, threads=1, unroll=8 * (number + 1)) for number in (0, 1)]
        writing.restore(trials)
        for candidate in (first, second):
            assert writing.built(candidate)
            writing.built_only(candidate)
        database.record_outcome(trials[0].id, failed())
        with pytest.raises(DatabaseError, match=f"trial {trials[0].id} has one already"):
            writing.flush()
        assert [trial.state for trial in database.load_search(search).trials] == ["failed", "built"]
