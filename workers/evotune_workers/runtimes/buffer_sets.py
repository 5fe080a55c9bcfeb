"""Copies of inputs for timing, as views of one allocation, limited in number and in memory.

Cold timing rotates over the copies: before one is used again, the calls have read several times the cache. Where a
limit makes the rotation shorter than that, the copies could stay in the cache. The stopwatch then evicts the inputs
before every sample, and no sample uses a copy twice: each call still reads its inputs from memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import torch

from evotune_workers.kernel.contract import Inputs

# The alignment that torch's allocators give. Each tensor is followed by up to as many bytes of padding. Without it,
# tensors of 2^n bytes would all begin at the same offset in their pages and compete for the same cache lines.
ALIGNMENT_BYTES = {"cpu": 64, "cuda": 512}
# On a GPU each copy is a node of the CUDA graphs that are timed, about 1.3 us each. On a CPU a millisecond of the
# shortest calls (15 ns) uses as many copies.
MOST_SETS = {"cpu": 1 << 16, "cuda": 1 << 13}
# A CPU's memory is first touched page by page: 512 MiB took 0.5 to 4 s on a virtual machine of 2 cores.
MOST_BYTES = {"cpu": 512 << 20, "cuda": 1 << 30}
# The rest is left to the outputs of every side, and to other processes.
SHARE_OF_FREE_MEMORY = 1 / 8


@dataclass(frozen=True)
class BufferPlan:
    """The number of copies; `limited` is the reason why there are fewer than requested, or None."""

    sets: int
    limited: str | None = None


def plan_buffers(like: Inputs, contents: int, least_bytes: int, free_bytes: int, kind: str) -> BufferPlan:
    """Return the number of copies that hold `least_bytes` of inputs, within the limits of that kind of device.

    It is a multiple of `contents`, the number of different inputs, and at least that number.
    """
    input_bytes = max(1, sum(map(_size, like)))
    set_bytes = sum(_room(tensor, kind) for tensor in like)
    limits = {
        "at most this number": MOST_SETS[kind],
        f"at most {MOST_BYTES[kind] >> 20:,} MiB": MOST_BYTES[kind] // set_bytes,
        f"{free_bytes >> 20:,} MiB of memory are free": int(free_bytes * SHARE_OF_FREE_MEMORY) // set_bytes,
    }
    rule = min(limits, key=limits.__getitem__)
    asked = max(1, math.ceil(least_bytes / (input_bytes * contents))) * contents
    sets = min(asked, max(1, limits[rule] // contents) * contents)
    if sets == asked:
        return BufferPlan(sets)
    return BufferPlan(sets, f"{sets:,} of {asked:,} buffer sets ({rule}): inputs are evicted before every sample")


class BufferSets(Sequence[Inputs]):
    """Copies of the contents in turn, each at addresses of its own; a set's number tells its content."""

    def __init__(self, like: Inputs, plan: BufferPlan, memory: torch.Tensor) -> None:
        """View `plan.sets` copies of tensors like these in memory of `bytes_of` bytes."""
        self.limited = plan.limited
        self._memory, self._batches = memory.view(plan.sets, -1), views(like, plan.sets, memory)
        self._sets: list[Inputs] = list(zip(*(batch.unbind() for batch in self._batches), strict=True))

    def fill(self, contents: Sequence[Inputs]) -> BufferSets:
        """Write the contents into the copies in turn; return the sets."""
        for place, batch in enumerate(self._batches):
            for number, inputs in enumerate(contents):
                batch[number :: len(contents)] = inputs[place]
        return self

    def __len__(self) -> int:
        """Return the number of sets."""
        return len(self._sets)

    @overload
    def __getitem__(self, number: int) -> Inputs: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Inputs]: ...

    def __getitem__(self, number: int | slice) -> Inputs | Sequence[Inputs]:
        """Return the set of that number."""
        return self._sets[number]

    def memory(self, first: int, count: int) -> Iterator[torch.Tensor]:
        """Yield the contiguous memory of `count` sets in turn, from number `first` on."""
        start, count = first % len(self), min(count, len(self))
        yield self._memory[start : start + count]
        yield self._memory[: max(0, start + count - len(self))]


def bytes_of(like: Inputs, count: int) -> int:
    """Return the bytes of memory for that many copies of some tensors."""
    return count * sum(_room(tensor, tensor.device.type) for tensor in like)


def allocate(like: Inputs, count: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return new memory for `count` copies of some tensors, a row of bytes each, and the `views` of it."""
    memory = torch.empty(bytes_of(like, count), dtype=torch.uint8, device=like[0].device)
    return memory.view(count, -1), views(like, count, memory)


def views(like: Inputs, count: int, memory: torch.Tensor) -> list[torch.Tensor]:
    """Return a view of the memory for each tensor.

    It has the copies along its first dimension, each with the layout that a clone would have.
    """
    rooms = [_room(tensor, tensor.device.type) for tensor in like]
    found = []
    for place, tensor in enumerate(like):
        typed, item = memory.view(tensor.dtype), tensor.element_size()
        strides = (sum(rooms) // item, *torch.empty_like(tensor, device="meta").stride())
        found.append(typed.as_strided((count, *tensor.shape), strides, sum(rooms[:place]) // item))
    return found


def same_bits(memory: torch.Tensor, expected: Sequence[torch.Tensor]) -> bool:
    """Return True if the copies in `memory`, which `allocate` made for one tensor, hold in turn the expected bits."""
    right = []
    for number, tensor in enumerate(expected):
        # A tensor's memory regardless of its strides, which are those of the copies.
        bits = tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)
        right.append((memory[number :: len(expected), : len(bits)] == bits).all())
    # The comparison of many copies waits for the device once.
    return bool(torch.stack(right).all())


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _room(tensor: torch.Tensor, kind: str) -> int:
    alignment = ALIGNMENT_BYTES[kind]
    return (_size(tensor) // alignment + 1) * alignment
