"""On a real GPU: what goes wrong is an outcome that costs one configuration, and the next one is measured cleanly."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest
import torch

from evotune.space import Space
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel.device import Device
from evotune_workers.runtimes.buffer_sets import MOST_SETS
from tests.support.paths import SAXPY
from tests.support.running import running_named

from .conftest import GpuBench

pytestmark = pytest.mark.gpu


def faulty(saxpy: GpuBench, fault: str = "none", **configuration: int) -> Candidate:
    return saxpy.build({"unroll": 4, "threads": 128, "fault": fault, **configuration}, "larger")


def test_an_honest_configuration_passes_every_gate_and_is_timed_cold_and_warm(saxpy: GpuBench) -> None:
    measurement = saxpy.measure(faulty(saxpy))
    assert measurement.failed_gate is None, measurement.reason
    assert {result.gate for result in measurement.gates} == {gate.name for gate in RUNNING_GATES} | {"timing"}
    cold, warm = measurement.timings
    assert (cold.mode, warm.mode) == ("cold", "warm")
    assert cold.speedup_low <= cold.speedup <= cold.speedup_high
    assert cold.conditions["buffer_sets"] > warm.conditions["buffer_sets"] == 1
    assert min(cold.conditions["clock_mhz"]) > 0 and min(cold.conditions["power_w"]) > 0


def test_small_inputs_and_a_large_cache_take_little_memory_and_stay_cold(gpu: Device) -> None:
    """The rotation would take 40,962 sets of buffers; those that are left are evicted before each replay."""
    before, _ = torch.cuda.mem_get_info()
    bench = GpuBench(SAXPY, replace(gpu, cache_bytes=256 << 20))
    measurement = bench.measure(bench.build({"unroll": 4, "threads": 128, "fault": "none"}, "small"))
    taken = before - torch.cuda.mem_get_info()[0]
    bench.measurer.close()
    assert measurement.failed_gate is None, measurement.reason
    assert 0 < taken <= 4 << 30
    cold, warm = measurement.timings
    assert cold.conditions["buffer_sets"] == cold.conditions["calls_per_sample"] == MOST_SETS["cuda"] // 3 * 3
    assert "(at most this number): inputs are evicted" in cold.conditions["buffers_limited"]
    assert warm.conditions["buffers_limited"] is None
    assert warm.median_us < cold.median_us


@pytest.mark.parametrize(
    ("fault", "gate", "reason"),
    [
        ("illegal_address", "launch", "illegal memory access"),
        ("trap", "launch", "died"),
        ("unwritten", "memory", "1 are NaN"),
        ("overrun", "memory", "illegal memory access"),
        ("overread", "memory", "illegal memory access"),
        ("wrong", "numerics", "max error must be <="),
        ("racy", "repeatability", "same bits"),
        ("greedy", "launch", "a workspace of"),
    ],
)
def test_a_faulty_configuration_fails_at_its_gate_and_the_next_one_is_measured(
    saxpy: GpuBench, fault: str, gate: str, reason: str
) -> None:
    assert saxpy.measure(faulty(saxpy)).failed_gate is None
    measurement = saxpy.measure(faulty(saxpy, fault))
    assert (measurement.failed_gate, measurement.timings) == (gate, ())
    assert reason in (measurement.reason or "")
    assert measurement.seconds < 10
    assert saxpy.measure(faulty(saxpy)).failed_gate is None


def test_an_endless_kernel_is_killed_within_ten_seconds_and_the_worker_survives(saxpy: GpuBench) -> None:
    assert saxpy.measure(faulty(saxpy)).failed_gate is None
    started = time.monotonic()
    measurement = saxpy.measure(faulty(saxpy, "hang"))
    assert measurement.failed_gate == "launch" and "hung" in (measurement.reason or "")
    assert time.monotonic() - started < 10
    assert saxpy.measure(faulty(saxpy)).failed_gate is None


def test_a_block_that_no_multiprocessor_can_hold_is_refused_at_launch(saxpy: GpuBench) -> None:
    measurement = saxpy.measure(faulty(saxpy, threads=2048))
    assert measurement.failed_gate in ("build", "launch")


def test_a_child_killed_from_outside_costs_a_retry_and_no_trial(saxpy: GpuBench) -> None:
    assert saxpy.measure(faulty(saxpy)).failed_gate is None
    for child in running_named("evotune-child"):
        os.killpg(child.pid, signal.SIGKILL)
    assert saxpy.measure(faulty(saxpy)).failed_gate is None


def test_the_default_attention_configuration_beats_every_sdpa_backend_at_the_mission_shape(
    attention: GpuBench, attention_space: Space
) -> None:
    assert attention_space.default is not None
    measurement = attention.measure(attention.build(attention_space.default, "mission"))
    assert measurement.failed_gate is None, measurement.reason
    cold, _ = measurement.timings
    assert set(cold.conditions["baselines_us"]) == {"sdpa_flash", "sdpa_cudnn", "sdpa_efficient", "sdpa_math"}
    assert cold.speedup_low > 1
