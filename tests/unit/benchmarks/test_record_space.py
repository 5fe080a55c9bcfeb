"""A search of a whole space becomes a recording that a replay reads, failures included."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import record_space
from evotune.replay import load_recording
from evotune_db import Database
from evotune_db.records import SpaceRecord
from tests.support.db.examples import SEARCH, failed, passed

CONFIGURATIONS = [{"tile": tile, "fast": fast, "stages": 2} for tile in (16, 32) for fast in (True, False)]


@pytest.fixture
def db(tmp_path: Path) -> str:
    """Record all but the last configuration of a space."""
    file = str(tmp_path / "record.db")
    with Database.open(file) as database:
        space = SpaceRecord("all", "b" * 64, "parameters: {}\n", len(CONFIGURATIONS))
        search = database.start_search(replace(SEARCH, space=space))
        for number, configuration in enumerate(CONFIGURATIONS[:-1]):
            trial = database.add_trial(search, number, configuration, str(number), "building")
            database.record_outcome(trial, replace(passed(), objective=0.5 / (1 + number)) if number else failed())
    return file


def record(db: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["record_space.py", db, "--out", str(out)])
    record_space.main()


def test_a_search_of_a_whole_space_becomes_a_recording(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Database.open(db) as database:
        trial = database.add_trial(1, 3, CONFIGURATIONS[3], "3", "building")
        database.record_outcome(trial, replace(passed(), objective=2.0))
        database.finish_search(1, "finished")
    record(db, tmp_path / "all.csv.gz", monkeypatch)
    assert capsys.readouterr().out == "4 configurations, 1 failed {'numerics': 1}; baseline 28.00 us\n"

    recording = load_recording(tmp_path / "all.csv.gz")
    assert [parameter.name for parameter in recording.valid.parameters] == ["tile", "fast"]
    times = [recording.times[recording.valid.index({"tile": of["tile"], "fast": of["fast"]})] for of in CONFIGURATIONS]
    assert math.isnan(times[0])
    assert times[1:] == pytest.approx([0.25 * 0.028, 0.5 / 3 * 0.028, 2.0 * 0.028], rel=1e-5)


def test_a_part_of_a_space_is_no_recording(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="all 4 configurations must be recorded, got 3"):
        record(db, tmp_path / "part.csv.gz", monkeypatch)
