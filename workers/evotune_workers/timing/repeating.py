"""A bound on the time that a launch may save on the buffers of the launch before: caches may help, skipping may not."""

from __future__ import annotations

from typing import Protocol

# Largest gain of warm over cold caches, as a multiple of the baseline's gain. Two kernels that move the same data gain
# about the same, and a launch that finds its work done takes next to no time.
MARGIN = 3.0
# On a CPU caches may always save the time in which a core moves the data from and to memory. For calls of a few
# microseconds, the baseline's own saving is lost in the noise of its Python. Saxpy on cold buffers moves 24 GB/s and
# more (Zen 4, a shared machine); this rate, in bytes per microsecond, is that of a busy one.
SLOW_MEMORY_BYTES_PER_US = 10e3
# This holds only for a launch slow enough to have moved the data. A core's first-level cache delivers 64 bytes a cycle,
# here at 4 GHz.
FAST_CACHE_BYTES_PER_US = 256e3


class Medians(Protocol):
    """Median times of a call of candidate and baseline."""

    @property
    def median_us(self) -> float:
        """Median time of the candidate in microseconds."""

    @property
    def baseline_us(self) -> float:
        """Median time of the baseline in microseconds."""


def repeating_fault(cold: Medians, warm: Medians, moved_bytes: float, cores: int | None) -> str | None:
    """Return the reason why a candidate cannot have done its work in each warm call, or None if it can.

    `cold` calls take the buffer sets in turn, `warm` calls the same set every time. `moved_bytes` is that of the
    kernel's Cost, `cores` the number of a CPU's cores, or None on a GPU.
    """
    saved, usual = cold.median_us / warm.median_us, max(1.0, cold.baseline_us / warm.baseline_us)
    if saved <= MARGIN * usual:
        return None
    if cores is not None and cold.median_us - warm.median_us <= _cpu_may_save_us(cold, warm, moved_bytes, cores):
        return None
    rule = f"may be {MARGIN * usual:.1f}x as fast as on other ones, got {saved:.1f}x"
    return f"a launch on the same buffers as the one before {rule}"


def _cpu_may_save_us(cold: Medians, warm: Medians, moved_bytes: float, cores: int) -> float:
    """Return the microseconds that caches may save on a CPU.

    A ratio to the baseline would not do: a baseline's call contains Python, for which warm buffers save nothing.
    """
    moved_again = warm.median_us >= moved_bytes / (cores * FAST_CACHE_BYTES_PER_US)
    of_memory = moved_bytes / SLOW_MEMORY_BYTES_PER_US if moved_again else 0.0
    return max(MARGIN * (cold.baseline_us - warm.baseline_us), of_memory)
