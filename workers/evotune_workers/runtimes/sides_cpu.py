"""What a stopwatch on a CPU times: calls of a candidate from C++, and of a baseline from Python."""

from __future__ import annotations

import abc
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from evotune_workers.kernel.contract import Baseline, Inputs
from evotune_workers.runtimes.cpu import CpuProgram
from evotune_workers.runtimes.loaded_build import WORKSPACE_FILL as NOT_A_NUMBER
from evotune_workers.runtimes.loaded_build import Bench
from evotune_workers.runtimes.runtime import Argument

# Outputs that a side's calls write in turn: one is looked at while the next is written.
OUTPUTS = 2


class Side(abc.ABC):
    """Calls on buffer sets in turn; calls are counted through all samples."""

    @abc.abstractmethod
    def prepare(self, first: int, calls: int) -> None:
        """What these calls need, and NaN in the memory of their outputs: no result of an earlier call lies there."""

    @abc.abstractmethod
    def run(self, first: int, calls: int) -> torch.Tensor:
        """The calls that were prepared; the last one's output, which later calls may overwrite."""


@dataclass(frozen=True)
class Memory:
    """What candidates write in turn: at the same addresses for all, so that these are no difference between them."""

    outputs: tuple[torch.Tensor, ...]
    workspace: torch.Tensor

    @classmethod
    def of(cls, benches: Collection[Bench], contents: int) -> Memory:
        """Enough for each; `contents`: how many buffer sets in turn differ in what they hold."""
        workspace = max((bench.new_workspace(bench.workload) for bench in benches), key=len)
        one = next(iter(benches))
        # Where an output's memory comes again, other inputs do, if there are others.
        outputs = OUTPUTS + 1 if contents == OUTPUTS else OUTPUTS
        return cls(tuple(one.new_output(one.workload) for _ in range(outputs)), workspace)


class CandidateSide(Side):
    """A build's entry function: the time of its calls is the kernel's alone, as that of a GPU's graph is."""

    def __init__(self, bench: Bench, sets: Sequence[Inputs], memory: Memory) -> None:
        """All candidates share the memory that they write."""
        assert isinstance(bench.program, CpuProgram)
        self._bench, self._sets, self._memory = bench, sets, memory
        self._loop = bench.program.call_loop(len(sets) * len(memory.outputs), self._arguments)

    def prepare(self, first: int, calls: int) -> None:
        """All samples share the outputs."""
        self._loop.prepare(first, calls)
        for output in self._memory.outputs:
            output.view(torch.uint8).fill_(NOT_A_NUMBER)

    def run(self, first: int, calls: int) -> torch.Tensor:
        """Without Python between the calls."""
        self._loop.run(first, calls)
        return self._output(first + calls - 1)

    def _output(self, number: int) -> torch.Tensor:
        return self._memory.outputs[number % len(self._memory.outputs)]

    def _arguments(self, number: int) -> Sequence[Argument]:
        given = (self._sets[number % len(self._sets)], self._output(number), self._memory.workspace)
        arguments = self._bench.kernel.arguments(self._bench.workload, *given)
        if number == 0:
            _require_given(arguments, (*given[0], *given[1:]))
        return arguments


def _require_given(arguments: Sequence[Argument], given: Sequence[torch.Tensor]) -> None:
    """Only addresses are kept: the memory of a tensor that was made for a call would be gone."""
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    for place, argument in enumerate(arguments):
        if isinstance(argument, torch.Tensor) and argument.untyped_storage().data_ptr() not in known:
            raise ValueError(f"arguments() must pass tensors that it is given, or views, got another at place {place}")


class BaselineSide(Side):
    """Its calls go through Python and torch's dispatcher and allocate their output: nobody can have them without."""

    def __init__(self, baseline: Baseline, sets: Sequence[Inputs], output_like: torch.Tensor) -> None:
        """`output_like` has the shape and dtype of an output."""
        self._call, self._sets, self._output_like = baseline.run, sets, output_like

    def prepare(self, first: int, calls: int) -> None:
        """The C library gives freed memory out again: what is freed here is what the calls get."""
        for spoilt in [torch.empty_like(self._output_like) for _ in range(OUTPUTS)]:
            spoilt.view(torch.uint8).fill_(NOT_A_NUMBER)

    def run(self, first: int, calls: int) -> torch.Tensor:
        """One after the other."""
        output = self._output_like
        for number in range(first, first + calls):
            output = self._call(self._sets[number % len(self._sets)])
        return output
