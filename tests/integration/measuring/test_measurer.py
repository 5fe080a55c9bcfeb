"""Configurations that go wrong in every way are outcomes, and the next one is measured as if nothing had been."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from evotune.search.reuse import is_lasting
from evotune.t4.invalidity import invalidity
from evotune_workers.compilers.build import hash_binary
from evotune_workers.gates.resources import judge_resources
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.measuring import confirm
from evotune_workers.measuring.jobs import ConfirmJob, WarmUpJob
from tests.integration.child.test_sandbox import children
from tests.support.running import running_named
from tests.support.saxpy import Bench

# Found by figures, and by no death of a child: other searches need not look again.
REFUTED = ("status", "unwritten", "wrong", "racy")


@pytest.mark.quiet
def test_an_honest_configuration_passes_every_gate_and_is_timed_cold_and_warm(bench: Bench) -> None:
    measurement = bench.measure(bench.build())
    assert measurement.failed_gate is None, measurement.reason
    assert {result.gate for result in measurement.gates} == {gate.name for gate in RUNNING_GATES} | {"timing"}
    cold, warm = measurement.timings
    assert (cold.mode, warm.mode) == ("cold", "warm")
    assert cold.speedup_low <= cold.speedup <= cold.speedup_high
    assert len(cold.samples["candidate"]) == cold.blocks
    assert cold.conditions["buffer_sets"] > warm.conditions["buffer_sets"] == 1


def test_the_child_that_was_warmed_up_measures(bench: Bench) -> None:
    bench.measurer.run(WarmUpJob(("small",), (1, 2, 3)))
    [warm] = children()
    assert bench.measure(bench.build(fault="wrong")).failed_gate == "numerics"
    assert children() == {warm}


def test_what_goes_wrong_in_a_warm_up_is_left_to_the_first_trial(bench: Bench) -> None:
    bench.measurer.run(WarmUpJob(("no such workload",), (1, 2, 3)))
    assert bench.measure(bench.build(fault="wrong")).failed_gate == "numerics"


@pytest.mark.parametrize(
    ("fault", "gate", "reason"),
    [
        ("segfault", "launch", "SIGSEGV"),
        ("abort", "launch", "SIGABRT"),
        ("status", "launch", "must return 0, got 7"),
        ("unwritten", "memory", "1 are NaN"),
        ("overrun", "memory", "SIGSEGV"),
        ("wrong", "numerics", "max error must be <="),
        ("racy", "repeatability", "same bits"),
        ("greedy", "launch", "a workspace of"),
    ],
)
def test_a_faulty_configuration_fails_at_its_gate_with_a_reason(
    bench: Bench, fault: str, gate: str, reason: str
) -> None:
    measurement = bench.measure(bench.build(fault=fault))
    assert measurement.failed_gate == gate
    assert reason in (measurement.reason or "")
    assert is_lasting(measurement) == (fault in REFUTED)
    assert not measurement.timings


def test_a_hanging_kernel_is_killed_and_the_worker_survives(bench: Bench) -> None:
    measurement = bench.measure(bench.build(fault="hang"))
    assert measurement.failed_gate == "launch" and "hung" in (measurement.reason or "")
    assert measurement.seconds < 20
    assert invalidity(measurement.failed_gate, measurement.reason) == "timeout"
    assert bench.measure(bench.build(fault="wrong")).failed_gate == "numerics"


def test_a_configuration_that_does_not_compile_is_a_failed_build(bench: Bench) -> None:
    build = bench.build(fault="compile_error").builds[0].build
    assert build.binary is None
    assert build.failure is not None and "asked not to compile" in build.failure


def test_another_trials_binary_fails_identity(bench: Bench) -> None:
    asked, other = bench.build(unroll=8), bench.build(unroll=4)
    built = replace(asked.builds[0], build=other.builds[0].build)
    measurement = bench.measure(replace(asked, builds=(built,)))
    assert measurement.failed_gate == "identity"
    assert "UNROLL=8, its own record says 4" in (measurement.reason or "")


def test_a_child_killed_from_outside_costs_a_retry_and_no_trial(bench: Bench) -> None:
    for _ in range(2):
        assert bench.measure(bench.build(fault="wrong")).failed_gate == "numerics"
        for child in running_named("evotune-child"):
            os.killpg(child.pid, signal.SIGKILL)


def test_parameters_that_change_nothing_give_the_same_binary_hash(bench: Bench) -> None:
    one, two, other = (bench.build(threads=1), bench.build(threads=2), bench.build(unroll=4))
    hashes = [candidate.builds[0].build.binary_hash for candidate in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert one.builds[0].build.binary != two.builds[0].build.binary


@pytest.fixture
def timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time finalists once: to time them again changes how sure a figure is."""
    monkeypatch.setattr(confirm, "CONFIRM_RUNS", 1)


@pytest.mark.quiet
@pytest.mark.usefixtures("timed_once")
def test_finalists_are_confirmed_together_and_a_faulty_one_is_found_out(bench: Bench) -> None:
    finalists = [
        replace(bench.build(unroll=8), number=3),
        replace(bench.build(unroll=4), number=5),
        replace(bench.build(fault="wrong"), number=7),
    ]
    confirmed = bench.measurer.run(ConfirmJob(tuple(finalists), "cpu", (11, 12, 13)))
    assert [measurement.number for measurement in confirmed] == [3, 5, 7]
    assert [measurement.failed_gate for measurement in confirmed] == [None, None, "confirm"]
    assert [len(measurement.timings) for measurement in confirmed] == [2, 2, 0]


@pytest.mark.quiet
@pytest.mark.usefixtures("timed_once")
def test_a_finalist_that_is_slow_on_other_inputs_is_ranked_by_them(bench: Bench) -> None:
    finalists = (replace(bench.build(), number=1), replace(bench.build(fault="slow"), number=2))
    honest, slow = bench.measurer.run(ConfirmJob(finalists, "cpu", (11, 12, 13)))
    assert honest.timings[0].conditions["distribution"] == "normal"
    assert slow.timings[0].conditions["distribution"] == "uniform"
    assert slow.timings[0].speedup < 0.5 * honest.timings[0].speedup


def test_a_cached_build_is_read_back_as_it_was_written(bench: Bench) -> None:
    first = bench.build(unroll=16).builds[0].build
    again = bench.build(unroll=16).builds[0].build
    assert again == first
    assert first.binary is not None and hash_binary(first.binary) == first.binary_hash


def test_a_space_may_limit_resources_and_a_missing_field_is_a_failure(bench: Bench) -> None:
    [built] = bench.build().builds
    assert built.build.resources is not None and built.build.resources.stack_bytes is not None
    stack = built.build.resources.stack_bytes
    assert judge_resources(built, {"stack_bytes": stack}).passed
    assert (
        judge_resources(built, {"stack_bytes": stack - 1}).reason == f"stack_bytes must be <= {stack - 1}, got {stack}"
    )
    assert "must be reported" in (judge_resources(built, {"registers": 255}).reason or "")
