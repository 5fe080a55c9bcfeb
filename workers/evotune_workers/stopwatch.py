"""The child's half of timing: runs interleaved blocks and returns raw samples, deciding nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from .bench import Bench
from .disturbance import lost_seconds
from .gates.errors import errors_beside
from .gates.gate import Errors
from .kernel import Baseline, Inputs

# A sample lasts at least this long, so that the clock's resolution and the call's own cost do not show (design: 1 ms).
SAMPLE_US = 1000.0
# Cold: a set of buffers is not met again before this many times the last-level cache has gone by (design: 5 x L2).
CACHE_MULTIPLE = 5
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Block:
    """Microseconds per call of each side, measured once in order and once in reverse (A B B A).

    `disturbed` is how long threads waited for a core that others had (the hypervisor's other guests, other processes),
    summed over threads, relative to the block's duration. `wrong` names the sides with a timed output of other bits
    than before.
    """

    times_us: dict[str, tuple[float, float]]
    disturbed: float
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class StopwatchFacts:
    """How the blocks are measured, for the record; `errors` are those of the outputs that timed ones must equal."""

    sides: tuple[str, ...]
    mode: Literal["cold", "warm"]
    buffer_sets: int
    calls_per_sample: int
    errors: dict[str, tuple[Errors, ...]]


class Stopwatch:
    """Times candidates and baselines side by side on the same buffers, in one process.

    Both sides allocate their output inside the timed call, as user code does. After every sample (one call, of kernels
    that take a millisecond) its last output is compared bit by bit with the one that the side gave on these inputs
    before.
    """

    def __init__(
        self, benches: dict[str, Bench], baselines: Sequence[Baseline], mode: Literal["cold", "warm"], cache_bytes: int
    ) -> None:
        """`benches` are the candidates by side name; all at one workload. `mode` is "cold" or "warm"."""
        first = next(iter(benches.values()))
        seeds = first.seeds if mode == "cold" else first.seeds[:1]
        examples = [first.example(first.workload, first.distributions[0], seed) for seed in seeds]
        contents = [example.inputs for example in examples]
        self._mode = mode
        self._sets = first.buffer_sets(seeds, CACHE_MULTIPLE * cache_bytes if mode == "cold" else 0)
        # One scratch buffer for all: its address is not a difference between candidates.
        workspace = max((bench.new_workspace(bench.workload) for bench in benches.values()), key=len)
        self._calls = {name: _candidate_call(bench, workspace) for name, bench in benches.items()}
        self._calls |= {baseline.name: baseline.run for baseline in baselines}
        self._expected = {name: [call(inputs) for inputs in contents] for name, call in self._calls.items()}
        self._errors = {
            name: tuple(errors_beside(out, ex) for out, ex in zip(self._expected[name], examples, strict=True))
            for name in benches
        }
        self._next = 0
        self._calls_per_sample = self._choose_calls_per_sample()

    def facts(self) -> StopwatchFacts:
        """How it measures."""
        return StopwatchFacts(tuple(self._calls), self._mode, len(self._sets), self._calls_per_sample, self._errors)

    def blocks(self, count: int, sides: Sequence[str]) -> tuple[Block, ...]:
        """That many ABBA blocks of the named sides."""
        return tuple(self._block(sides) for _ in range(count))

    def _block(self, sides: Sequence[str]) -> Block:
        lost, started = lost_seconds(), time.perf_counter()
        forward = {side: self._sample(side) for side in sides}
        backward = {side: self._sample(side) for side in reversed(sides)}
        seconds = time.perf_counter() - started
        return Block(
            times_us={side: (forward[side][0], backward[side][0]) for side in sides},
            disturbed=(lost_seconds() - lost) / seconds,
            wrong=tuple(side for side in sides if not (forward[side][1] and backward[side][1])),
        )

    def _sample(self, side: str) -> tuple[float, bool]:
        """Microseconds per call, and whether the last call's output was right."""
        call, sets, first = self._calls[side], self._sets, self._next
        output = None
        started = time.perf_counter_ns()
        for number in range(first, first + self._calls_per_sample):
            output = call(sets[number % len(sets)])
        elapsed_us = (time.perf_counter_ns() - started) / 1e3
        self._next = first + self._calls_per_sample
        expected = self._expected[side][(self._next - 1) % len(sets) % len(self._expected[side])]
        assert output is not None
        return elapsed_us / self._calls_per_sample, torch.equal(output, expected)

    def _choose_calls_per_sample(self) -> int:
        fastest = math.inf
        for call in self._calls.values():
            for number in range(WARM_UP_CALLS):
                started = time.perf_counter_ns()
                call(self._sets[number % len(self._sets)])
                taken = (time.perf_counter_ns() - started) / 1e3
            fastest = min(fastest, taken)
        return max(1, math.ceil(SAMPLE_US / fastest))


def _candidate_call(bench: Bench, workspace: torch.Tensor) -> Callable[[Inputs], torch.Tensor]:
    kernel, workload, program = bench.kernel, bench.workload, bench.program

    def call(inputs: Inputs) -> torch.Tensor:
        output = kernel.empty_output(workload)
        program.launch(kernel.arguments(workload, inputs, output, workspace))
        return output

    return call
