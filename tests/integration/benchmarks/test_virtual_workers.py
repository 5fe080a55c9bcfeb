"""The benchmark of the orchestrator: the search that it runs is a whole one, on workers that only take time."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import record_space, virtual_workers
from benchmarks.virtual.clock import Clock
from benchmarks.virtual.cluster import Actor, utilisation
from benchmarks.virtual.results import Durations
from evotune.planning.plan import enumerate_valid, make_plan
from evotune_db import Database


def test_every_trial_is_proposed_built_measured_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_workers, "LEAST_TRIALS", 60)
    monkeypatch.setattr(virtual_workers, "TRIALS_PER_WORKER", 1)
    durations, file = Durations.load("h200"), str(tmp_path / "virtual.db")
    plan = make_plan(replace(virtual_workers.REQUEST, space=str(record_space.SPACE)))
    assert plan.device is not None
    valid, home = enumerate_valid(plan, plan.device), virtual_workers.Home("sqlite", file)
    plan = replace(plan, sampler="random", build_only=False)
    found = virtual_workers.search(plan, valid, home, 2, durations, Clock())
    with Database.open(file) as database:
        [search], trials = database.searches(), database.load_search(1).trials
    assert (search.state, len(trials)) == ("finished", 60)
    failed = [one for one in durations.trials[:60] if one.failed_gate]
    assert sum(trial.state == "failed" for trial in trials) == len(failed)
    assert 0 < found.busy <= 1 and found.cost_ms > 0
    # Two workers cannot have done it faster than their measurements take.
    assert 60 / found.trials_per_second >= sum(one.measure_seconds for one in durations.trials[:60]) / 2


def test_the_clock_jumps_where_the_orchestrator_waits_and_stands_where_others_would_work() -> None:
    clock = Clock()
    clock.jump(100.0)
    with clock.apart():
        time.sleep(0.5)
    assert 100.0 <= clock.now < 100.4 and clock.worked < 0.4


def test_workers_are_busy_for_the_share_of_the_time_until_the_last_trial_is_begun() -> None:
    always, half = Actor(), Actor()
    for now in (0.0, 1.0, 2.0, 3.0):
        always.take(now, 1.0)
    for now in (0.0, 2.0, 4.0):
        half.take(now, 1.0)
    always.take(4.0, 1.0)
    assert utilisation([always, half])["from_first"] == pytest.approx((4.0 + 2.0) / 8.0)
