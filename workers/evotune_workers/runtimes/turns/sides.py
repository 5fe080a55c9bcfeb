"""The sides that are timed on a CPU: calls of a candidate from C++, and of a baseline from Python."""

from __future__ import annotations

import abc
import math
from collections import deque
from collections.abc import Sequence

import torch

from evotune_workers.kernel.contract import Baseline, Inputs
from evotune_workers.runtimes.cpu import CpuProgram
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.runtime import Argument
from evotune_workers.runtimes.turns.output_rows import OutputRows

# Calls write as many outputs in turn as there are buffer sets, as far as they fit into this, and at least so many.
MOST_OUTPUT_BYTES, LEAST_OUTPUTS = 64 << 20, 4


def output_count(sets: int, contents: int, output_bytes: int) -> int:
    """Return how many outputs the calls write in turn.

    It divides the number of sets or is a multiple of it, and is a multiple of the number of different contents: an
    output's number tells the content that its call reads.
    """
    if sets < LEAST_OUTPUTS:
        return sets * math.ceil(LEAST_OUTPUTS / sets)
    room = max(LEAST_OUTPUTS, MOST_OUTPUT_BYTES // max(1, output_bytes))
    fitting = [each for each in range(contents, min(sets, room) + 1, contents) if sets % each == 0]
    return fitting[-1] if fitting and fitting[-1] >= LEAST_OUTPUTS else contents * math.ceil(LEAST_OUTPUTS / contents)


class Side(abc.ABC):
    """Calls on buffer sets in turn; calls are counted through all samples."""

    @abc.abstractmethod
    def prepare(self, first: int, calls: int) -> None:
        """Prepare these calls: no result of an earlier one is left where a candidate writes."""

    @abc.abstractmethod
    def run(self, first: int, calls: int) -> None:
        """Make the prepared calls, without anything between them."""


class CandidateSide(Side):
    """Calls of a build's entry function; as in a GPU's graph, their time is the kernel's alone."""

    def __init__(self, build: LoadedBuild, sets: Sequence[Inputs], contents: int) -> None:
        """Make the loop over the buffer sets, which hold that number of different inputs in turn."""
        assert isinstance(build.program, CpuProgram)
        self._build, self._sets = build, sets
        unwritten = build.new_output(build.workload)
        count = output_count(len(sets), contents, unwritten.numel() * unwritten.element_size())
        self.outputs = OutputRows(unwritten, count)
        self._workspace = build.new_workspace(build.workload)
        self._loop = build.program.call_loop(math.lcm(len(sets), count), self._arguments)

    def prepare(self, first: int, calls: int) -> None:
        """Write the calls' arguments, and NaN into their outputs."""
        self._loop.prepare(first, calls)
        self.outputs.spoil(first, calls)

    def run(self, first: int, calls: int) -> None:
        """Make the calls without Python between them."""
        self._loop.run(first, calls)

    def _arguments(self, number: int) -> Sequence[Argument]:
        given = (self._sets[number % len(self._sets)], self.outputs.output(number), self._workspace)
        arguments = self._build.kernel.arguments(self._build.workload, *given)
        if number == 0:
            _require_given(arguments, (*given[0], *given[1:]))
        return arguments


def _require_given(arguments: Sequence[Argument], given: Sequence[torch.Tensor]) -> None:
    """Raise ValueError for a tensor made inside `arguments()`.

    Only addresses are kept, and the memory of such a tensor would be freed.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    for place, argument in enumerate(arguments):
        if isinstance(argument, torch.Tensor) and argument.untyped_storage().data_ptr() not in known:
            raise ValueError(f"arguments() must pass tensors that it is given, or views, got another at place {place}")


class BaselineSide(Side):
    """Calls of a baseline, through Python and torch's dispatcher and with a new output, as users have to call it.

    Its outputs live as long as those of a candidate, so that both write memory that is equally cold.
    """

    def __init__(self, baseline: Baseline, sets: Sequence[Inputs], contents: int, output_like: torch.Tensor) -> None:
        """Take the calls' buffer sets; `output_like` has the shape and dtype of an output."""
        self._call, self._sets = baseline.run, sets
        count = output_count(len(sets), contents, output_like.numel() * output_like.element_size())
        self._outputs: deque[torch.Tensor] = deque(maxlen=count)

    def prepare(self, first: int, calls: int) -> None:
        """Do nothing: a baseline takes its arguments as they are, and its outputs are not checked."""

    def run(self, first: int, calls: int) -> None:
        """Make the calls one after the other."""
        call, sets, keep = self._call, self._sets, self._outputs.append
        for number in range(first, first + calls):
            keep(call(sets[number % len(sets)]))
