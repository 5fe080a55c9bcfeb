"""The stopwatch interface: it runs interleaved blocks in the child and returns raw samples, without deciding."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from evotune_workers.kernel.output_errors import Errors

Mode = Literal["cold", "warm"]

# A sample lasts at least this long, so that the clock's resolution and the cost of reading it are negligible.
SAMPLE_US = 1000.0
# Cold: calls on other buffers, of this many times the last-level cache in total, come before a set is used again.
CACHE_MULTIPLE = 5
WARM_UP_CALLS = 3


# The reason in `Conditions.throttled` that the timed work itself causes.
POWER_CAP = "power cap"


@dataclass(frozen=True)
class Conditions:
    """Conditions of the device during a block.

    `disturbed` (CPU) is the time that threads waited for a core, summed over threads, relative to the block's duration.
    Other processes or other guests of the hypervisor used the core meanwhile. `clock_mhz`, `power_w` and
    `throttled` (CUDA) are the multiprocessors' clock, the board's power and NVML's reasons for a lower clock than
    requested.
    """

    disturbed: float = 0.0
    clock_mhz: float | None = None
    power_w: float | None = None
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Microseconds per call of each side, measured once in order and once in reverse (A B B A).

    `wrong` names the sides with a timed output that differed from the one checked before. `unseen` is the index, 0 or
    1, of the time that was measured on unseen inputs.
    """

    times_us: Mapping[str, tuple[float, float]]
    wrong: tuple[str, ...]
    conditions: Conditions = Conditions()
    unseen: int = 1


@dataclass(frozen=True)
class StopwatchSetup:
    """Setup of a stopwatch, stored with the timing; `errors` are those of the outputs that timed ones must equal.

    `calls_per_sample` are those of the side that has the most. `estimates_us` has first estimates of the baselines'
    times, `unavailable` the baselines that cannot run here, with the reason. `buffers_limited` is the reason why a cold
    timing has fewer buffer sets than its rotation needs; its calls are then kept cold by eviction
    (runtimes/buffer_sets.py).
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
    """Times candidates and baselines in turn on the same inputs.

    Half of every block is measured on unseen inputs, which were changed just before. A side that keeps results by
    content, by address or by the number of calls has none for them.
    """

    _blocks_measured = 0

    @abc.abstractmethod
    def setup(self) -> StopwatchSetup:
        """Return how it measures."""

    @abc.abstractmethod
    def sample(self, side: str) -> tuple[float, bool]:
        """Time a sample of a side; return microseconds per call, and False if an output has other bits than before.

        For unseen inputs there are no bits from before; `unseen_errors` checks such outputs.
        """

    @abc.abstractmethod
    def unseen_inputs(self, sides: Sequence[str]) -> AbstractContextManager[None]:
        """Change the inputs of the next samples, one of each of these sides in turn, and restore them afterwards."""

    @abc.abstractmethod
    def unseen_errors(self) -> Mapping[str, Errors]:
        """Return the errors of the last output that each candidate gave on unseen inputs while it was timed."""

    @abc.abstractmethod
    def begin_block(self) -> Any:
        """Return the state at the start of a block, which `end_block` takes."""

    @abc.abstractmethod
    def end_block(self, begun: Any) -> Conditions:
        """Return the device's conditions since `begin_block`."""

    def blocks(self, count: int, sides: Sequence[str]) -> tuple[Block, ...]:
        """Measure that many ABBA blocks of the named sides."""
        return tuple(self._block(sides) for _ in range(count))

    def _block(self, sides: Sequence[str]) -> Block:
        # Alternates, so that neither kind of input always comes first.
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
        with self.unseen_inputs(sides) if unseen else nullcontext():
            return {side: self.sample(side) for side in sides}
