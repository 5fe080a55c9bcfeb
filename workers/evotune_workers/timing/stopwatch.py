"""The child's half of timing: runs interleaved blocks and returns raw samples, deciding nothing."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from evotune_workers.kernel.output_errors import Errors

Mode = Literal["cold", "warm"]

# A sample lasts at least this long, so that the clock's resolution and the call's own cost do not show (design: 1 ms).
SAMPLE_US = 1000.0
# Cold: a set of buffers is not met again before this many times the last-level cache has gone by (design: 5 x L2).
CACHE_MULTIPLE = 5
WARM_UP_CALLS = 3


# Of the reasons in `Conditions.throttled`, the one that a kernel gives itself.
POWER_CAP = "power cap"


@dataclass(frozen=True)
class Conditions:
    """What the device was like during a block.

    `disturbed` (CPU): how long threads waited for a core that others had (the hypervisor's other guests, other
    processes), summed over threads, relative to the block's duration. `clock_mhz`, `power_w` and `throttled` (CUDA):
    the multiprocessors' clock, the board's power and NVML's reasons for a lower clock than asked for.
    """

    disturbed: float = 0.0
    clock_mhz: float | None = None
    power_w: float | None = None
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Microseconds per call of each side, measured once in order and once in reverse (A B B A).

    `wrong` names the sides with a timed output of other bits than before; `unseen` says which of the two times, 0 or 1,
    was measured on inputs that no side had met.
    """

    times_us: Mapping[str, tuple[float, float]]
    wrong: tuple[str, ...]
    conditions: Conditions = Conditions()
    unseen: int = 1


@dataclass(frozen=True)
class StopwatchFacts:
    """How the blocks are measured, for the record; `errors` are those of the outputs that timed ones must equal.

    `estimates_us`: a first estimate of the baselines' times, where one is at hand; `unavailable`: baselines that cannot
    run here, with the reason. `buffers_limited`: why a cold timing has fewer buffer sets than its rotation asks for,
    and what keeps its calls cold all the same (runtimes/buffer_sets.py).
    """

    sides: tuple[str, ...]
    mode: Mode
    buffer_sets: int
    calls_per_sample: int
    errors: Mapping[str, tuple[Errors, ...]]
    estimates_us: Mapping[str, float] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    buffers_limited: str | None = None


class Stopwatch(abc.ABC):
    """Times candidates and baselines side by side on the same buffers, in one process.

    Half of every block is measured on inputs that were changed just before: a side that keeps results, by content, by
    address or by how often it was called, has none for them.
    """

    _blocks_measured = 0

    @abc.abstractmethod
    def facts(self) -> StopwatchFacts:
        """How it measures."""

    @abc.abstractmethod
    def sample(self, side: str) -> tuple[float, bool]:
        """Microseconds per call, and whether the outputs have the bits that the side gave on these inputs before.

        Of unseen inputs nobody knows the bits; `unseen_errors` tells whether such outputs are right.
        """

    @abc.abstractmethod
    def unseen_inputs(self, samples: int) -> AbstractContextManager[None]:
        """Changes the inputs that so many samples will meet, and afterwards puts them back."""

    @abc.abstractmethod
    def unseen_errors(self) -> Mapping[str, Errors]:
        """Errors of the last output that each candidate gave on unseen inputs while it was timed."""

    @abc.abstractmethod
    def begin_block(self) -> Any:
        """What `end_block` needs to know of the start."""

    @abc.abstractmethod
    def end_block(self, begun: Any) -> Conditions:
        """What the device was like since."""

    def blocks(self, count: int, sides: Sequence[str]) -> tuple[Block, ...]:
        """That many ABBA blocks of the named sides."""
        return tuple(self._block(sides) for _ in range(count))

    def _block(self, sides: Sequence[str]) -> Block:
        # In turn, so that neither kind of input always comes first.
        unseen = self._blocks_measured % 2
        self._blocks_measured += 1
        begun = self.begin_block()
        forward, backward = (
            self._half(order, place == unseen) for place, order in enumerate((sides, tuple(reversed(sides))))
        )
        conditions = self.end_block(begun)
        return Block(
            times_us={side: (forward[side][0], backward[side][0]) for side in sides},
            wrong=tuple(side for side in sides if not (forward[side][1] and backward[side][1])),
            conditions=conditions,
            unseen=unseen,
        )

    def _half(self, sides: Sequence[str], unseen: bool) -> dict[str, tuple[float, bool]]:
        with self.unseen_inputs(len(sides)) if unseen else nullcontext():
            return {side: self.sample(side) for side in sides}
