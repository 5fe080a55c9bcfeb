"""Turns of a side on a CPU: in the process of a candidate, or in that of the baselines."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evotune_workers.kernel.contract import Baseline
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.buffer_sets import BufferSets
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.references import Reference
from evotune_workers.runtimes.turns.eviction import evict
from evotune_workers.runtimes.turns.sides import BaselineSide, CandidateSide, Side
from evotune_workers.runtimes.turns.team import end_team, form_team
from evotune_workers.runtimes.unseen import KeptOutputs, Roll
from evotune_workers.timing.disturbance import lost_seconds, thread_times

# A round has as many calls as take ROUND_US: the time of a single call is mostly the cost of the call itself.
WARM_UP_ROUNDS, ROUND_US = 4, 100.0


@dataclass(frozen=True)
class TimedInputs:
    """The inputs of a timing: those of some seeds in turn at a named workload, copied until they have so many bytes."""

    workload: str
    distribution: str
    seeds: tuple[int, ...]
    least_bytes: int


@dataclass(frozen=True)
class Calls:
    """The calls of one sample: `lead` untimed ones from number `first` on, and `timed` ones.

    The sets of the numbers in `changed` hold unseen inputs, rolled by `roll`.
    """

    first: int
    lead: int
    timed: int
    changed: frozenset[int] = frozenset()
    roll: Roll | None = None


@dataclass(frozen=True)
class Turn:
    """A sample of a side: microseconds per call, False if an output is known to be wrong, and lost core seconds."""

    us: float
    right: bool
    lost_seconds: float
    seconds: float


@dataclass(frozen=True)
class OpenedSide:
    """The fastest microseconds of a call while a side was warmed up; a candidate's errors for each content."""

    fastest_us: float
    errors: tuple[Errors, ...] = ()


class Turns:
    """The sides of one process, which takes turns with the other processes."""

    def __init__(self, sides: Mapping[str, Side], sets: BufferSets) -> None:
        """Warm the sides up on their buffer sets."""
        self._sides, self._sets = sides, sets
        self._fastest = {name: _fastest_us(side) for name, side in sides.items()}
        end_team()

    def opened(self) -> dict[str, OpenedSide]:
        """Return what is known of each side."""
        return {name: OpenedSide(fastest) for name, fastest in self._fastest.items()}

    def take(self, side: str, calls: Calls) -> Turn:
        """Time a sample, with this process's own team of threads, which ends with it."""
        began = time.perf_counter()
        timed, number = self._sides[side], calls.lead + calls.timed
        timed.prepare(calls.first, number)
        self._evict(calls.first, number)
        form_team()
        before = thread_times()
        timed.run(calls.first, calls.lead)
        started = time.perf_counter_ns()
        timed.run(calls.first + calls.lead, calls.timed)
        elapsed_us = (time.perf_counter_ns() - started) / 1e3
        lost, took = lost_seconds(before, thread_times()), time.perf_counter() - began
        is_right = self._is_right(side, calls)
        end_team()  # last, since torch's own operations form it anew
        return Turn(elapsed_us / calls.timed, is_right, lost, took)

    def _evict(self, first: int, calls: int) -> None:
        """Evict the inputs of these calls where the rotation is too short to keep them cold."""
        if self._sets.limited is not None:
            for memory in self._sets.memory(first, calls):
                evict(memory)

    def _is_right(self, side: str, calls: Calls) -> bool:
        return True


class BaselineTurns(Turns):
    """The turns of the baselines, whose outputs are not checked."""

    def __init__(self, baselines: Sequence[Baseline], sets: BufferSets, contents: int, output: torch.Tensor) -> None:
        """Warm the baselines up; `output` has the shape and dtype of an output."""
        super().__init__({each.name: BaselineSide(each, sets, contents, output) for each in baselines}, sets)


class CandidateTurns(Turns):
    """The turns of one candidate.

    Its outputs are checked after every sample: all that no later call of the sample has overwritten, the untimed ones
    among them. One of those on unseen inputs, drawn at random, is kept and checked when all has been timed.
    """

    def __init__(self, name: str, build: LoadedBuild, sets: BufferSets, references: Sequence[Reference]) -> None:
        """Compute the outputs that all later ones must equal; `references` are those of the sets' contents in turn."""
        self._name, self._build, self._contents = name, build, [reference.inputs for reference in references]
        self._side = CandidateSide(build, sets, len(references))
        self._expected = [self._output(number) for number in range(len(references))]
        self._errors = tuple(each.errors_of(out) for each, out in zip(references, self._expected, strict=True))
        self._kept = KeptOutputs()
        # The system's randomness, which no build can predict.
        self._random = random.SystemRandom()
        super().__init__({name: self._side}, sets)

    def opened(self) -> dict[str, OpenedSide]:
        """Return its errors, too."""
        return {name: OpenedSide(fastest, self._errors) for name, fastest in self._fastest.items()}

    def unseen_errors(self) -> dict[str, Errors]:
        """Return the errors of the last output kept on unseen inputs, beside the baseline's on the same inputs."""
        return self._kept.errors({self._name: self._build}, self._contents)

    def _output(self, number: int) -> torch.Tensor:
        self._side.prepare(number, 1)
        self._side.run(number, 1)
        return self._side.outputs.output(number).clone()

    def _is_right(self, side: str, calls: Calls) -> bool:
        outputs, sets = self._side.outputs, len(self._sets)
        intact = outputs.intact(calls.first, calls.lead + calls.timed)
        if calls.roll is None:
            return outputs.are_right(intact, self._expected)
        chosen = self._random.choice([number for number in intact if number % sets in calls.changed])
        self._kept.keep(side, chosen % sets, calls.roll, outputs.output(chosen).clone())
        seen = itertools.takewhile(lambda number: number % sets not in calls.changed, intact)
        return outputs.are_right(range(intact.start, intact.start + sum(1 for _ in seen)), self._expected)


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
