"""Timing on a CPU: consecutive calls, by the wall clock."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch

from evotune_workers.kernel.contract import Baseline
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.eviction_cpu import evict
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.sides_cpu import BaselineSide, CandidateSide, Memory, Side
from evotune_workers.runtimes.unseen import UnseenInputs
from evotune_workers.timing.disturbance import lost_seconds
from evotune_workers.timing.stopwatch import CACHE_MULTIPLE, SAMPLE_US, Conditions, Mode, Stopwatch, StopwatchSetup

# Largest number of calls of a sample with changed inputs: all of them, unless a call takes less than 16 us. To change
# more inputs would take longer than the calls.
MOST_CHANGED = 64
# One untimed call for every so many timed ones runs before the clock starts. The first calls after other work take
# up to 100 us longer.
LEAD_PART = 10
# A round has as many calls as take ROUND_US: the time of a single call is mostly the cost of the call itself.
WARM_UP_ROUNDS, ROUND_US = 4, 100.0


class CpuStopwatch(Stopwatch):
    """Times the kernel alone for a candidate, and a call as users make it for a baseline (sides_cpu.py).

    After every sample its last output is compared bit by bit with the one that the side gave on these inputs before. A
    kernel that takes a millisecond has one call a sample. When a sample begins, the memory of outputs holds NaN, and no
    result of an earlier call.
    """

    def __init__(
        self, builds: Mapping[str, LoadedBuild], baselines: Sequence[Baseline], mode: Mode, cache_bytes: int
    ) -> None:
        """Prepare and warm up all sides; `builds` are the candidates by side name, all at one workload."""
        first = next(iter(builds.values()))
        seeds = first.seeds if mode == "cold" else first.seeds[:1]
        references = [first.reference(first.workload, first.distributions[0], seed) for seed in seeds]
        self._mode: Mode = mode
        self._builds, self._contents = builds, [reference.inputs for reference in references]
        self._sets = sets = first.buffer_sets(seeds, CACHE_MULTIPLE * cache_bytes if mode == "cold" else 0)
        self._inputs = UnseenInputs(sets)
        memory = Memory.of(builds.values(), len(seeds))
        output_like = first.kernel.empty_output(first.workload)
        self._sides: dict[str, Side] = {name: CandidateSide(build, sets, memory) for name, build in builds.items()}
        self._sides |= {baseline.name: BaselineSide(baseline, sets, output_like) for baseline in baselines}
        self._expected = {
            name: [_output(side, number) for number in range(len(seeds))] for name, side in self._sides.items()
        }
        self._errors = {
            name: tuple(each.errors_of(out) for each, out in zip(references, self._expected[name], strict=True))
            for name in builds
        }
        self._next = 0
        fastest = {name: _fastest_us(side) for name, side in self._sides.items()}
        self._estimates = {baseline.name: fastest[baseline.name] for baseline in baselines}
        calls = max(1, math.ceil(SAMPLE_US / min(fastest.values())))
        self._timed = calls if sets.limited is None else min(calls, _most_timed(len(sets)))
        self._lead = self._timed // LEAD_PART

    def setup(self) -> StopwatchSetup:
        """Return how it measures."""
        return StopwatchSetup(
            tuple(self._sides),
            self._mode,
            len(self._sets),
            self._timed,
            self._errors,
            self._estimates,
            buffers_limited=self._sets.limited,
        )

    def sample(self, side: str) -> tuple[float, bool]:
        """Return the wall time per call, and False if the last call's output is known to be wrong."""
        calls, first = self._sides[side], self._next + self._lead
        self._next = first + self._timed
        calls.prepare(first - self._lead, self._lead + self._timed)
        self._evict(first - self._lead, self._lead + self._timed)
        calls.run(first - self._lead, self._lead)
        started = time.perf_counter_ns()
        output = calls.run(first, self._timed)
        elapsed_us = (time.perf_counter_ns() - started) / 1e3
        return elapsed_us / self._timed, self._is_right(side, (self._next - 1) % len(self._sets), output)

    def unseen_inputs(self, samples: int) -> AbstractContextManager[None]:
        """Change the sets that the last calls of each of the next samples take."""
        changed = min(MOST_CHANGED, self._timed)
        ends = (self._next + number * (self._lead + self._timed) for number in range(1, samples + 1))
        return self._inputs.swapped({(end - back) % len(self._sets) for end in ends for back in range(1, changed + 1)})

    def unseen_errors(self) -> Mapping[str, Errors]:
        """Return the candidates' errors on unseen inputs, beside the baseline's on the same inputs."""
        return self._inputs.errors(self._builds, self._contents)

    def _evict(self, first: int, calls: int) -> None:
        """Evict the inputs of these calls where the rotation is too short to keep them cold."""
        if self._sets.limited is not None:
            for memory in self._sets.memory(first, calls):
                evict(memory)

    def _is_right(self, side: str, number: int, output: torch.Tensor) -> bool:
        """Compare an output with the one before; keep a candidate's unseen one, to check it when all has been timed."""
        if self._inputs.swap is None:
            return torch.equal(output, self._expected[side][number % len(self._expected[side])])
        if side in self._builds:
            self._inputs.keep(side, number, output.clone())
        return True

    def begin_block(self) -> tuple[float, float]:
        """Return the time lost so far, and the time now."""
        return lost_seconds(), time.perf_counter()

    def end_block(self, begun: tuple[float, float]) -> Conditions:
        """Return the share of the block for which threads waited."""
        lost, started = begun
        return Conditions(disturbed=(lost_seconds() - lost) / (time.perf_counter() - started))


def _most_timed(sets: int) -> int:
    """Return the largest number of calls that, with the lead before them, use no set twice."""
    return max(1, sets * LEAD_PART // (LEAD_PART + 1))


def _output(side: Side, number: int) -> torch.Tensor:
    side.prepare(number, 1)
    return side.run(number, 1).clone()


def _fastest_us(side: Side) -> float:
    """Warm a side up; return the time of a call in the fastest of the rounds."""
    fastest, calls = math.inf, 1
    for _ in range(WARM_UP_ROUNDS):
        side.prepare(0, calls)
        started = time.perf_counter_ns()
        side.run(0, calls)
        fastest = min(fastest, (time.perf_counter_ns() - started) / 1e3 / calls)
        calls = max(1, math.ceil(ROUND_US / fastest))
    return fastest
