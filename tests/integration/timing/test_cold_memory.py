"""Cold timing where the rotation over buffers is limited: how much memory it takes, and that calls stay cold."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from evotune_workers.child.messages import OpenBaselines, OpenCandidate, Request, TakeTurn
from evotune_workers.child.reference_service import ReferenceService
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.device import cpu_device
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.measuring.child_session import Session
from evotune_workers.measuring.stopwatch_cpu import Ask, CpuStopwatch
from evotune_workers.measuring.stopwatches import open_stopwatch
from evotune_workers.runtimes.build_spec import BuildSpec
from evotune_workers.runtimes.cpu import CpuRuntime
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.references import References
from evotune_workers.runtimes.turns import turns
from evotune_workers.runtimes.turns.eviction import evict
from evotune_workers.runtimes.turns.turns import CandidateTurns, TimedInputs
from evotune_workers.timing.summary import as_conditions
from tests.integration.child.test_sandbox import children
from tests.support.paths import SPIN

pytestmark = pytest.mark.quiet

SEEDS = (1, 2, 3)
GIB = 1 << 30
LARGE_CACHE = replace(cpu_device(), cache_bytes=GIB)
SAMPLES = 50
# 64 bytes of inputs, with the space behind them.
SET_BYTES = 128


def spin(nanoseconds: int, workload: str) -> Candidate:
    return build_candidate(SPIN, BuildJob(0, {"spin_ns": nanoseconds}, "cpu", "cpu", (workload,)))


def test_64_bytes_and_a_cache_of_1_gib_take_little_memory_and_give_a_right_time() -> None:
    """A rotation would take 83,886,081 sets. The fastest of many samples counts, since the machine may be busy."""
    before, session, candidate = children(), Session(SPIN, LARGE_CACHE), spin(50_000, "50 calls")
    with session.loaded({"spin": (candidate, candidate.builds[0])}, "cpu", SEEDS):
        stopwatch = open_stopwatch(session, ["spin"], "50 calls", "cold")
        setup, blocks, unseen = stopwatch.setup(), stopwatch.blocks(SAMPLES, ("spin",)), stopwatch.unseen_errors()
        peaks = [peak_bytes(child) for child in children() - before]
    session.close()
    assert len(peaks) == 2, "the candidate's process, and that of the references and the baselines"
    assert sum(peaks) <= 4 * GIB
    assert setup.buffer_sets == 65_535
    assert "(at most this number): inputs are evicted before every sample" in str(setup.buffers_limited)
    assert min(min(block.times_us["spin"]) for block in blocks) == pytest.approx(50, rel=0.02)
    assert not any(block.wrong for block in blocks)
    assert [error.kernel_max for error in (*setup.errors["spin"], unseen["spin"])] == [(0.0,)] * 4


def peak_bytes(process: int) -> int:
    """Return the largest resident memory that the process ever had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    [peak] = [int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")]
    assert peak >= psutil.Process(process).memory_info().rss
    return peak


class SmallMachine(CpuRuntime):
    """This machine as if 512 KiB of its memory were free."""

    def free_bytes(self) -> int:
        return 512 << 10


@pytest.fixture(scope="module")
def stopwatches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CpuStopwatch]:
    """Make a cold and a warm one of a copy of 64 bytes; the cold one's buffers, 64 KiB, fit into a core's cache.

    Both sides take their turns in this process.
    """
    runtime, kernel = SmallMachine(), load_kernel(SPIN)
    [built] = spin(0, "50 calls").builds
    assert built.build.binary is not None
    library = tmp_path_factory.mktemp("spin") / "spin.so"
    library.write_bytes(built.build.binary)
    spec = BuildSpec({"spin_ns": 0}, "50 calls", "cpu", library, SEEDS)
    build = LoadedBuild(kernel, runtime, References(kernel, "cpu", runtime), spec)
    return {
        "cold": CpuStopwatch(asked_here(build), ["copy"], timed_inputs(SEEDS, 5 * (32 << 20)), "cold"),
        "warm": CpuStopwatch(asked_here(build), ["copy"], timed_inputs(SEEDS[:1], 0), "warm"),
    }


def timed_inputs(seeds: tuple[int, ...], least_bytes: int) -> TimedInputs:
    return TimedInputs("50 calls", "normal", seeds, least_bytes)


def asked_here(build: LoadedBuild) -> Ask:
    """Return what answers a stopwatch without processes of their own."""
    service = ReferenceService(build.kernel, "cpu", build.runtime)
    opened: list[CandidateTurns] = []

    def ask(side: str | None, request: Request) -> Any:
        match request:
            case OpenBaselines(inputs):
                return service.open(inputs)
            case OpenCandidate(name, inputs):
                references = [build.reference(build.workload, "normal", seed) for seed in inputs.seeds]
                sets = build.buffer_sets(inputs.distribution, inputs.seeds, inputs.least_bytes)
                opened.append(CandidateTurns(name, build, sets, references))
                return opened[-1].opened()
            case TakeTurn(name, calls):
                return (service if side is None else opened[-1]).take(name, calls)
        raise AssertionError(request)

    return ask


def test_little_free_memory_limits_the_sets_and_the_conditions_say_so(stopwatches: dict[str, CpuStopwatch]) -> None:
    conditions = as_conditions(stopwatches["cold"].setup())
    assert conditions["buffer_sets"] == 510  # an eighth of 512 KiB
    assert "(0 MiB of memory are free): inputs are evicted before every sample" in conditions["buffers_limited"]
    assert as_conditions(stopwatches["warm"].setup())["buffers_limited"] is None


def test_every_call_of_a_cold_sample_meets_another_evicted_set(
    stopwatches: dict[str, CpuStopwatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    evicted: list[torch.Tensor] = []

    def evict_and_note(memory: torch.Tensor) -> None:
        evict(memory)
        evicted.append(memory)

    monkeypatch.setattr(turns, "evict", evict_and_note)
    calls = stopwatches["cold"].setup().calls_per_sample
    met: list[int] = []
    for _ in range(3):
        stopwatches["cold"].begin_block()  # draws the number of calls, of which the sets are a limit, too
        stopwatches["cold"].sample("copy")
        rows = [row.data_ptr() for memory in evicted for row in memory]
        evicted.clear()
        assert calls + calls // 10 == len(rows) == len(set(rows))
        met += rows
    # In turn: one sample goes on where the one before it ended.
    assert {(after - before) % (510 * SET_BYTES) for before, after in itertools.pairwise(met)} == {SET_BYTES}
    stopwatches["warm"].sample("copy")
    assert not evicted


def test_evicted_memory_is_read_more_slowly() -> None:
    memory = torch.zeros(1 << 14)

    def reading_ns(evicted: bool) -> int:
        if evicted:
            evict(memory)
        started = time.perf_counter_ns()
        memory.sum()
        return time.perf_counter_ns() - started

    cached, evicted = (min(reading_ns(each) for _ in range(SAMPLES)) for each in (False, True))
    assert cached < 0.8 * evicted
