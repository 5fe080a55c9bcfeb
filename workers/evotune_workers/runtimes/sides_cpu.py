"""The sides that a stopwatch on a CPU times: calls of a candidate from C++, and of a baseline from Python."""

from __future__ import annotations

import abc
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from evotune_workers.kernel.contract import Baseline, Inputs
from evotune_workers.runtimes.cpu import CpuProgram
from evotune_workers.runtimes.loaded_build import WORKSPACE_FILL as NOT_A_NUMBER
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.runtime import Argument

# Outputs that a side's calls write in turn, so that the last one is intact while the next is written.
OUTPUTS = 2


class Side(abc.ABC):
    """Calls on buffer sets in turn; calls are counted through all samples."""

    @abc.abstractmethod
    def prepare(self, first: int, calls: int) -> None:
        """Prepare these calls, and fill their outputs with NaN, so that no result of an earlier call is left there."""

    @abc.abstractmethod
    def run(self, first: int, calls: int) -> torch.Tensor:
        """Make the prepared calls; return the last one's output, which later calls may overwrite."""


@dataclass(frozen=True)
class Memory:
    """Memory that candidates write, at the same addresses for all, so that addresses make no difference in time."""

    outputs: tuple[torch.Tensor, ...]
    workspace: torch.Tensor

    @classmethod
    def of(cls, builds: Collection[LoadedBuild], contents: int) -> Memory:
        """Return memory that suffices for each build; `contents` is the number of different inputs among the sets."""
        workspace = max((build.new_workspace(build.workload) for build in builds), key=len)
        one = next(iter(builds))
        # An output's memory then meets other inputs each time, if there are others.
        outputs = OUTPUTS + 1 if contents == OUTPUTS else OUTPUTS
        return cls(tuple(one.new_output(one.workload) for _ in range(outputs)), workspace)


class CandidateSide(Side):
    """Calls of a build's entry function; as in a GPU's graph, their time is the kernel's alone."""

    def __init__(self, build: LoadedBuild, sets: Sequence[Inputs], memory: Memory) -> None:
        """Make the loop over the buffer sets; all candidates write the same `memory`."""
        assert isinstance(build.program, CpuProgram)
        self._build, self._sets, self._memory = build, sets, memory
        self._loop = build.program.call_loop(len(sets) * len(memory.outputs), self._arguments)

    def prepare(self, first: int, calls: int) -> None:
        """Write the calls' arguments, and NaN into the outputs, which all samples share."""
        self._loop.prepare(first, calls)
        for output in self._memory.outputs:
            output.view(torch.uint8).fill_(NOT_A_NUMBER)

    def run(self, first: int, calls: int) -> torch.Tensor:
        """Make the calls without Python between them."""
        self._loop.run(first, calls)
        return self._output(first + calls - 1)

    def _output(self, number: int) -> torch.Tensor:
        return self._memory.outputs[number % len(self._memory.outputs)]

    def _arguments(self, number: int) -> Sequence[Argument]:
        given = (self._sets[number % len(self._sets)], self._output(number), self._memory.workspace)
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
    """Calls of a baseline, through Python and torch's dispatcher and with a new output, as users have to call it."""

    def __init__(self, baseline: Baseline, sets: Sequence[Inputs], output_like: torch.Tensor) -> None:
        """Take the calls' buffer sets; `output_like` has the shape and dtype of an output."""
        self._call, self._sets, self._output_like = baseline.run, sets, output_like

    def prepare(self, first: int, calls: int) -> None:
        """Free memory full of NaN: the C library hands it out again to the calls."""
        for spoilt in [torch.empty_like(self._output_like) for _ in range(OUTPUTS)]:
            spoilt.view(torch.uint8).fill_(NOT_A_NUMBER)

    def run(self, first: int, calls: int) -> torch.Tensor:
        """Make the calls one after the other."""
        output = self._output_like
        for number in range(first, first + calls):
            output = self._call(self._sets[number % len(self._sets)])
        return output
