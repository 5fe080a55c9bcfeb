"""Unseen inputs: the tensors of buffer sets are rolled by random offsets, and restored afterwards.

A roll moves every element, so that every independent part of an input differs (each head, each row), with the same
values. Each set has offsets of its own: no two sets hold the same inputs meanwhile.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from evotune_workers.kernel.contract import Inputs
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.loaded_build import LoadedBuild

# The offset grows by this from one set to the next: a prime, so that it takes every value before it repeats one.
STEP = 7919


@dataclass(frozen=True)
class Roll:
    """The offset, in elements, by which each tensor of set 0 is rolled."""

    offsets: tuple[int, ...]

    def sources(self, contents: Sequence[Sequence[torch.Tensor]], number: int) -> list[torch.Tensor]:
        """Return what the tensors of that set become, as flat views; `contents` hold each tensor twice in a row."""
        twice = contents[number % len(contents)]
        return [_part(tensor, offset + STEP * number) for tensor, offset in zip(twice, self.offsets, strict=True)]


@dataclass(frozen=True)
class UnseenOutput:
    """A candidate's output for the rolled set of that number, given while it was timed."""

    number: int
    roll: Roll
    output: torch.Tensor

    def errors(self, build: LoadedBuild, contents: Sequence[Inputs]) -> Errors:
        """Return its errors beside the baseline's; `contents` are the original inputs, which the sets hold in turn."""
        inputs = rolled(self.roll, contents[self.number % len(contents)], self.number)
        return build.reference_of(inputs).errors_of(self.output)


class UnseenInputs:
    """Buffer sets whose inputs can be changed for a while; `roll` is None while they hold the original ones."""

    def __init__(self, sets: Sequence[Inputs], contents: Sequence[Inputs]) -> None:
        """Take the buffer sets, and the inputs that they hold in turn."""
        self._sets = sets
        self._twice = [_twice(inputs) for inputs in contents]
        # The system's randomness, which no build can predict.
        self._random = random.SystemRandom()
        self._changed: tuple[int, ...] = ()
        self.roll: Roll | None = None

    def change(self, numbers: Iterable[int]) -> Roll:
        """Roll the sets of these numbers by new offsets."""
        self.roll = roll = Roll(tuple(self._random.randrange(max(1, tensor.numel())) for tensor in self._sets[0]))
        self._changed = tuple(numbers)
        self._write([(number, roll.sources(self._twice, number)) for number in self._changed])
        return roll

    def restore(self) -> None:
        """Give the changed sets their original inputs back."""
        original = [[_part(tensor, 0) for tensor in twice] for twice in self._twice]
        self._write([(number, original[number % len(original)]) for number in self._changed])
        self._changed, self.roll = (), None

    @contextlib.contextmanager
    def changed(self, numbers: Iterable[int]) -> Iterator[None]:
        """Change sets, and restore them on exit."""
        self.change(numbers)
        try:
            yield
        finally:
            self.restore()

    def _write(self, sources: Sequence[tuple[int, Sequence[torch.Tensor]]]) -> None:
        """Write all in few operations: on a GPU, hundreds of sets change between two samples of a millisecond."""
        targets = [tensor.view(-1) for number, _ in sources for tensor in self._sets[number]]
        if targets:
            torch._foreach_copy_(targets, [tensor for _, each in sources for tensor in each])


class KeptOutputs:
    """The last output that each candidate gave on unseen inputs while it was timed."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._outputs: dict[str, UnseenOutput] = {}

    def keep(self, side: str, number: int, roll: Roll, output: torch.Tensor) -> None:
        """Keep the output for the rolled set of that number, to be checked when all has been timed."""
        self._outputs[side] = UnseenOutput(number, roll, output)

    def errors(self, builds: Mapping[str, LoadedBuild], contents: Sequence[Inputs]) -> dict[str, Errors]:
        """Return the errors of each kept output, beside the baseline's on the same inputs."""
        return {side: unseen.errors(builds[side], contents) for side, unseen in self._outputs.items()}


def rolled(roll: Roll, inputs: Inputs, number: int) -> Inputs:
    """Return what the set of that number holds, whose original inputs are given."""
    parts = roll.sources([_twice(inputs)], number)
    return tuple(part.clone().view(tensor.shape) for part, tensor in zip(parts, inputs, strict=True))


def _twice(inputs: Inputs) -> list[torch.Tensor]:
    return [tensor.reshape(-1).repeat(2) for tensor in inputs]


def _part(twice: torch.Tensor, offset: int) -> torch.Tensor:
    size = len(twice) // 2
    start = offset % max(1, size)
    return twice[start : start + size]
