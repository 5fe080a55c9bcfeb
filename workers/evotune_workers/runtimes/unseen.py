"""Unseen inputs: two runs of elements are swapped in each buffer set, and swapped back afterwards."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from evotune_workers.kernel.contract import Inputs
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.loaded_build import LoadedBuild

# A run is one of so many parts of a tensor. It is small enough to leave caches as they are, and large enough to make a
# kept result wrong by more than rounding.
RUN_PART = 64


@dataclass(frozen=True)
class Swap:
    """A swap: the tensor of a set, and the offsets of the runs in its two halves, one further in each following set."""

    tensor: int
    one: int
    other: int

    def of(self, inputs: Inputs, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the two runs in the set of that number, as views."""
        flat = inputs[self.tensor].view(-1)
        half = len(flat) // 2
        run = min(half, max(1, len(flat) // RUN_PART))
        one, other = ((place + number) % (half - run + 1) for place in (self.one, self.other))
        return flat[one : one + run], flat[half + other : half + other + run]

    def swapped(self, inputs: Inputs, number: int) -> Inputs:
        """Return a copy of the set with the two runs swapped."""
        copies = tuple(tensor.clone() for tensor in inputs)
        _exchange([self.of(copies, number)])
        return copies


@dataclass(frozen=True)
class UnseenOutput:
    """A candidate's output for the swapped set of that number, given while it was timed."""

    number: int
    swap: Swap
    output: torch.Tensor

    def errors(self, build: LoadedBuild, contents: Sequence[Inputs]) -> Errors:
        """Return its errors beside the baseline's; `contents` are the original inputs, which the sets hold in turn."""
        inputs = self.swap.swapped(contents[self.number % len(contents)], self.number)
        return build.reference_of(inputs).errors_of(self.output)


class UnseenInputs:
    """The buffer sets of a stopwatch, with the outputs that candidates gave while they were swapped.

    `swap` is drawn at random each time, and None while the sets hold the original inputs.
    """

    def __init__(self, sets: Sequence[Inputs]) -> None:
        """Take the buffer sets, whose tensors have equal sizes in all sets."""
        self._sets = sets
        # The system's randomness, which no build can predict.
        self._random = random.SystemRandom()
        self._drawn = 0
        self.swap: Swap | None = None
        self._outputs: dict[str, UnseenOutput] = {}

    def keep(self, side: str, number: int, output: torch.Tensor) -> None:
        """Keep a candidate's output for the swapped set of that number, to be checked when all has been timed."""
        assert self.swap is not None
        self._outputs[side] = UnseenOutput(number, self.swap, output)

    def errors(self, builds: Mapping[str, LoadedBuild], contents: Sequence[Inputs]) -> dict[str, Errors]:
        """Return the errors of the last output kept of each candidate, beside the baseline's on the same inputs."""
        return {side: unseen.errors(builds[side], contents) for side, unseen in self._outputs.items()}

    @contextlib.contextmanager
    def swapped(self, numbers: Iterable[int]) -> Iterator[None]:
        """Swap two runs in the sets of these numbers, and swap them back on exit."""
        self.swap = swap = self._draw()
        pairs = [swap.of(self._sets[number], number) for number in numbers]
        _exchange(pairs)
        try:
            yield
        finally:
            _exchange(pairs)
            self.swap = None

    def _draw(self) -> Swap:
        """Draw a swap, in each tensor of a set in turn."""
        tensor = self._drawn % len(self._sets[0])
        self._drawn += 1
        size = self._sets[0][tensor].numel()
        return Swap(tensor, self._random.randrange(size), self._random.randrange(size))


def _exchange(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Exchange all pairs in few operations: on a GPU, hundreds of sets change between two samples of a millisecond."""
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    kept = torch.stack(ones)
    torch._foreach_copy_(ones, others)
    torch._foreach_copy_(others, list(kept.unbind()))
