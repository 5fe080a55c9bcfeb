"""A warm start through the command line, from a database with a search at another workload: real Ray, real compiler."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evotune.cli import run
from evotune.search.outcomes import device_record
from evotune.space import configuration_key
from evotune_db import Database
from evotune_db.records import KernelRecord
from evotune_workers.kernel.device import cpu_device
from tests.support.command import evotune_here
from tests.support.db.examples import SEARCH, passed, timing
from tests.support.paths import SAXPY

# Speedups of values of unroll, from slow to fast.
SPEEDUPS = {1: 1.1, 16: 2.5, 4: 3.0}
SEARCH_LARGER = ("search", str(SAXPY), "--space", str(SAXPY / "cpu.yaml"), "--workload", "larger", "--budget", "11")


def known_at_small(database: Database) -> dict[int, int]:
    """Record a search of an older version of the kernel; return its trials by their unroll."""
    kernel = KernelRecord("saxpy", "an older one")
    search = database.start_search(replace(SEARCH, kernel=kernel, target="cpu", workloads=("small",)))
    trials = {}
    for number, (unroll, speedup) in enumerate(SPEEDUPS.items()):
        configuration: dict[str, bool | int | str] = {"unroll": unroll, "threads": 1, "fault": "none"}
        trials[unroll] = database.add_trial(search, number, configuration, configuration_key(configuration))
        outcome = replace(passed(timing(speedup, workload="small")), device=device_record(cpu_device()))
        database.record_outcome(trials[unroll], outcome)
    database.finish_search(search, "finished")
    return trials


def test_a_search_begins_with_the_best_known_elsewhere_also_when_it_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Database.open(str(tmp_path / "evotune.db")) as database:
        known = known_at_small(database)
    # Over before a second trial is proposed, however fast this machine is.
    ended = evotune_here(*SEARCH_LARGER, "--build-only", "--warm-start", "--time-limit", "0.001", folder=tmp_path)
    assert f"warm start: 2 configurations from 1 search (small on {cpu_device().name})" in ended.stdout, ended.stderr
    with Database.open(str(tmp_path / "evotune.db")) as database:
        assert len(database.load_search(2).trials) < 2
    resumed = evotune_here("search", "--resume", "2", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr + resumed.stdout
    with Database.open(str(tmp_path / "evotune.db")) as database:
        trials = database.load_search(2).trials
    assert [trial.configuration["unroll"] for trial in trials[:2]] == [4, 16]
    assert len({trial.configuration_key for trial in trials}) == 11
    assert {trial.state for trial in trials} == {"built"}, "nothing is taken over as measured"
    for trial, told in ((trials[0], f"from trial {known[4]} of search 1, small on"), (trials[2], "")):
        assert run(["show", str(trial.id), "--db", str(tmp_path / "evotune.db")]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert told in shown and ("warm start" in shown) == bool(told)
