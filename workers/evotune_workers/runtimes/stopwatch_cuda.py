"""Timing on a GPU: CUDA graphs of many calls, one event pair around each replay."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from evotune_workers.kernel.contract import Baseline, Inputs, Workload
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.buffer_sets import BufferSets, allocate, same_bits
from evotune_workers.runtimes.graph import CallGraph
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.telemetry import Telemetry
from evotune_workers.runtimes.unseen import KeptOutputs, UnseenInputs
from evotune_workers.timing.stopwatch import (
    CACHE_MULTIPLE,
    SAMPLE_US,
    WARM_UP_CALLS,
    Conditions,
    Mode,
    Stopwatch,
    StopwatchSetup,
)

# Memory that is read to evict everything else, as a multiple of the cache. More than 1, since no GPU documents its
# cache's replacement policy.
EVICTION_MULTIPLE = 2


@dataclass(frozen=True)
class TimedCandidate:
    """A candidate's graph; `outputs`, a view of `memory`, has those of all sets along its first dimension."""

    graph: CallGraph
    memory: torch.Tensor
    outputs: torch.Tensor


@dataclass(frozen=True)
class TimedBaseline:
    """A baseline's graph and a first estimate of its time per call."""

    graph: CallGraph
    estimate_us: float


class Baselines:
    """The baselines' graphs on one collection of buffer sets, captured once in a child for all configurations.

    Every graph has the same number of calls, over the buffer sets in turn: as many as the fastest makes in a
    millisecond. Where the rotation is too short for calls to stay cold, each set is used once.
    """

    def __init__(self, baselines: Sequence[Baseline], sets: BufferSets) -> None:
        """Capture the baselines that can run here; the others are in `unavailable` with the reason."""
        self.sets = sets
        self.timed: dict[str, TimedBaseline] = {}
        self.unavailable: dict[str, str] = {}
        calls = {baseline.name: baseline.run for baseline in baselines}
        once = {name: time for name, run in calls.items() if (time := self._try(name, run)) is not None}
        rounds = max(1, math.ceil(SAMPLE_US / min(once.values()) / len(sets)))
        self.rounds = rounds if sets.limited is None else 1
        for name in once:
            graph = self._graph(calls[name], self.rounds)
            self.timed[name] = TimedBaseline(graph, graph.replay_us())

    def _try(self, name: str, run: Callable[[Inputs], torch.Tensor]) -> float | None:
        """Return the microseconds of a call, or None for a baseline that cannot run here."""
        try:
            for number in range(WARM_UP_CALLS):
                run(self.sets[number % len(self.sets)])
            return self._graph(run, rounds=1).replay_us()
        except RuntimeError as error:
            self.unavailable[name] = str(error).splitlines()[0]
            return None

    def _graph(self, run: Callable[[Inputs], torch.Tensor], rounds: int) -> CallGraph:
        sets = self.sets  # not self, which a graph would keep with all its buffers until garbage is collected
        return CallGraph(lambda number: run(sets[number]), len(sets), rounds)


class CudaStopwatch(Stopwatch):
    """Times graphs with the same number of calls for all sides, on the same buffer sets in the same order.

    Before a timed replay the candidate's outputs are filled with NaN. After it every output is compared bit by bit with
    the one that was checked on the same inputs. A warm replay follows an untimed one. Before a cold replay whose
    rotation is too short, the cache is filled with other memory.
    """

    def __init__(
        self, builds: Mapping[str, LoadedBuild], baselines: Baselines, mode: Mode, distribution: str, cache_bytes: int
    ) -> None:
        """Capture the candidates, `builds` by side name; all are at the workload of the baselines."""
        first = next(iter(builds.values()))
        seeds = first.seeds if mode == "cold" else first.seeds[:1]
        references = [first.reference(first.workload, distribution, seed) for seed in seeds]
        self._mode: Mode = mode
        self._baselines = baselines
        self._builds, self._contents = builds, [reference.inputs for reference in references]
        self._inputs = UnseenInputs(baselines.sets, self._contents)
        self._kept = KeptOutputs()
        self._expected = {
            name: [build.launch(build.workload, reference.inputs) for reference in references]
            for name, build in builds.items()
        }
        self._errors = {
            name: tuple(each.errors_of(out) for each, out in zip(references, self._expected[name], strict=True))
            for name in builds
        }
        self._candidates = {
            name: _candidate_graph(build, baselines.sets, baselines.rounds) for name, build in builds.items()
        }
        evicting = EVICTION_MULTIPLE * cache_bytes if baselines.sets.limited is not None else 0
        self._other_memory = torch.zeros(evicting // 8, dtype=torch.int64, device=first.runtime.device)
        self._telemetry = Telemetry(first.runtime.device)

    def setup(self) -> StopwatchSetup:
        """Return how it measures."""
        return StopwatchSetup(
            (*self._candidates, *self._baselines.timed),
            self._mode,
            len(self._baselines.sets),
            len(self._baselines.sets) * self._baselines.rounds,
            self._errors,
            {name: timed.estimate_us for name, timed in self._baselines.timed.items()},
            self._baselines.unavailable,
            self._baselines.sets.limited,
        )

    def sample(self, side: str) -> tuple[float, bool]:
        """Return the device time per call, and False if an output of a candidate is wrong.

        Outputs of a baseline are not checked.
        """
        candidate = self._candidates.get(side)
        if candidate is None:
            return self._timed(self._baselines.timed[side].graph, None), True
        return self._timed(candidate.graph, candidate.outputs), self._are_right(side, candidate)

    def unseen_inputs(self, sides: Sequence[str]) -> AbstractContextManager[None]:
        """Change all sets, since every sample takes them all."""
        return self._inputs.changed(range(len(self._baselines.sets)))

    def unseen_errors(self) -> Mapping[str, Errors]:
        """Return the candidates' errors on unseen inputs, beside the baseline's on the same inputs."""
        return self._kept.errors(self._builds, self._contents)

    def begin_block(self) -> None:
        """Forget earlier readings; clocks are read after every sample, at the end of a millisecond of work or more."""
        self._telemetry.begin()

    def end_block(self, begun: None) -> Conditions:
        """Return clock, power and throttling."""
        return self._telemetry.conditions()

    def _timed(self, graph: CallGraph, spoilt: torch.Tensor | None) -> float:
        """Time one replay, before which `spoilt` is filled with NaN; return microseconds per call."""
        if self._mode == "warm":
            graph.replay()
        if spoilt is not None:
            spoilt.fill_(float("nan"))
        if self._baselines.sets.limited is not None:
            self._other_memory.sum()
        time_us = graph.replay_us()
        self._telemetry.read_clock()
        return time_us

    def _are_right(self, side: str, candidate: TimedCandidate) -> bool:
        """Compare all outputs with the checked ones; of unseen ones keep one, to be checked when all has been timed."""
        if self._inputs.roll is not None:
            number = random.randrange(len(candidate.outputs))
            self._kept.keep(side, number, self._inputs.roll, candidate.outputs[number].clone())
            return True
        return same_bits(candidate.memory, self._expected[side])


class CudaStopwatches:
    """Opens stopwatches; the baselines' graphs are captured once and kept for as long as the buffers are."""

    def __init__(self) -> None:
        """Capture nothing yet."""
        self._baselines: dict[tuple[Workload, Mode, str], Baselines] = {}

    def open(
        self,
        builds: Mapping[str, LoadedBuild],
        baselines: Sequence[Baseline],
        mode: Mode,
        distribution: str,
        cache_bytes: int,
    ) -> CudaStopwatch:
        """Return a stopwatch of loaded builds, by side name and all at one workload, beside these baselines."""
        first = next(iter(builds.values()))
        seeds = first.seeds if mode == "cold" else first.seeds[:1]
        sets = first.buffer_sets(distribution, seeds, CACHE_MULTIPLE * cache_bytes if mode == "cold" else 0)
        kept = self._baselines.get((first.workload, mode, distribution))
        if kept is None or kept.sets is not sets:
            kept = self._baselines[first.workload, mode, distribution] = Baselines(baselines, sets)
        return CudaStopwatch(builds, kept, mode, distribution, cache_bytes)


def _candidate_graph(build: LoadedBuild, sets: BufferSets, rounds: int) -> TimedCandidate:
    workload = build.workload
    workspace = build.new_workspace(workload)
    memory, [all_outputs] = allocate((build.new_output(workload),), len(sets))
    outputs = all_outputs.unbind()

    def call(number: int) -> torch.Tensor:
        build.launch_into(workload, sets[number], outputs[number], workspace)
        return outputs[number]

    call(0)  # the set-up work of a first launch must not be captured
    return TimedCandidate(CallGraph(call, len(sets), rounds), memory, all_outputs)
