"""A search takes over some outcomes of other searches, and measures others itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evotune.display.progress import LineReporter
from evotune.display.terminal import console
from evotune.planning.plan import Plan, make_plan
from evotune.planning.request import SearchRequest
from evotune.search.outcomes import device_record
from evotune.search.recorder import Recorder
from evotune.search.reuse import PROTOCOL, Reuse
from evotune.search.study import Proposal, Study
from evotune.space import ValidSet, configuration_key
from evotune_db import Database
from evotune_db.records import OutcomeRecord
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import cpu_device
from tests.support.db.examples import SEARCH, failed, passed, timing
from tests.support.paths import SAXPY
from tests.support.saxpy import Bench

CONFIGURATION: Configuration = {"unroll": 8, "threads": 1, "fault": "none"}
HERE = cpu_device()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(str(tmp_path / "evotune.db")) as opened:
        yield opened


def plan(no_reuse: bool = False) -> Plan:
    request = SearchRequest(db="unused.db", kernel=str(SAXPY), target="cpu", budget=1, reuse=not no_reuse)
    return make_plan(replace(request, space=str(SAXPY / "cpu.yaml")))


def reuse(no_reuse: bool = False) -> Reuse:
    return Reuse(plan(no_reuse), lambda: [HERE])


def valid() -> ValidSet:
    return plan().space.enumerate(HERE.limits, lambda configuration: {"step_bytes": 4})


def measured_before(database: Database, outcome: OutcomeRecord) -> int:
    """In another search, on this machine."""
    key = reuse().offered(CONFIGURATION, outcome, HERE)
    ran_on = replace(outcome, device=device_record(HERE), reuse_key=key)
    trial = database.add_trial(database.start_search(SEARCH), 0, CONFIGURATION, configuration_key(CONFIGURATION))
    database.record_outcome(trial, ran_on)
    return trial


def begin(
    database: Database, *configurations: Configuration, no_reuse: bool = False
) -> tuple[Recorder, list[Proposal]]:
    """Begin a search that has proposed these."""
    search = database.start_search(SEARCH)
    for number, configuration in enumerate(configurations):
        database.add_trial(search, number, configuration, configuration_key(configuration))
    study = Study(valid(), "random", 0)
    recorder = Recorder(database, search, study, LineReporter(console(sys.stdout)), {}, reuse(no_reuse))
    return recorder, recorder.restore(database.load_search(search).trials)


def test_what_another_search_measured_is_booked_at_once_and_its_twin_is_not_measured_either(
    database: Database, bench: Bench
) -> None:
    twin = {**CONFIGURATION, "threads": 2}
    candidate = bench.build(**CONFIGURATION)
    builds = (replace(passed().builds[0], binary_hash=candidate.builds[0].build.binary_hash),)
    origin = measured_before(database, replace(passed(timing(2.0)), builds=builds))
    recorder, (proposal, second) = begin(database, CONFIGURATION, twin)
    assert recorder.take_over([proposal, second]) == [second]
    assert not recorder.built(replace(bench.build(**twin), number=1))
    recorder.flush()
    recorder.settle(2)
    assert recorder.told == 2
    shared = [database.trial(trial.id).same_binary_as for trial in database.load_search(2).trials]
    assert shared == [origin, origin]
    # A best that was taken over stops slow candidates as any other does.
    assert recorder.incumbent.speedups == {"mission": 1.99}


def test_a_timing_that_stopped_early_is_enough_only_beside_a_best_that_is_as_fast(database: Database) -> None:
    measured_before(database, passed(timing(1.5, censored=True)))
    recorder, (proposal,) = begin(database, CONFIGURATION)
    assert recorder.take_over([proposal]) == [proposal]
    recorder.incumbent.speedups = {"mission": 1.52}
    assert recorder.take_over([proposal]) == [proposal]
    recorder.incumbent.speedups = {"mission": 1.6}
    assert recorder.take_over([proposal]) == []


def test_reuse_can_be_refused(database: Database) -> None:
    measured_before(database, passed())
    recorder, (proposal,) = begin(database, CONFIGURATION, no_reuse=True)
    assert recorder.take_over([proposal]) == [proposal]


def test_other_conditions_are_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, made = set(reuse().wanted(CONFIGURATION)), plan()
    assert reuse().offered(CONFIGURATION, passed(), HERE) in mine
    driver = replace(HERE, properties={**HERE.properties, "driver": "580.1"})
    other_piece = replace(HERE, uuid="CPU-another")
    assert reuse().offered(CONFIGURATION, passed(), driver) not in mine
    assert reuse().offered(CONFIGURATION, passed(), other_piece) in mine, "of the same model"
    for changed in (
        replace(made, package=replace(made.package, source_hash="0" * 64)),
        replace(made, workloads=("larger",)),
        replace(made, target="sm_89"),
    ):
        assert not mine & set(Reuse(changed, lambda: [HERE]).wanted(CONFIGURATION))
    same = replace(made, space=replace(made.space, name="narrower", text="parameters: {}"), seed=7, sampler="tpe")
    assert set(Reuse(same, lambda: [HERE]).wanted(CONFIGURATION)) == mine
    monkeypatch.setattr("evotune.search.reuse.PROTOCOL", PROTOCOL + 1)
    assert not mine & set(reuse().wanted(CONFIGURATION))


@pytest.mark.parametrize("gate", ["build", "launch", "plausibility", "timing"])
def test_a_failure_that_may_be_chance_is_not_offered(gate: str) -> None:
    assert reuse().offered(CONFIGURATION, replace(failed(), failed_gate=gate), HERE) is None
