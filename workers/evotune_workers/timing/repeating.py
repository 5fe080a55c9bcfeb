"""What a launch on the buffers of the launch before may save: what caches save, and no work."""

from __future__ import annotations

from typing import Protocol

# Of what warm caches gain over cold ones, as a multiple of what the baseline gains: no cache is so much better to one
# of two kernels that move the same data, and a launch that finds its work done takes next to nothing.
MARGIN = 3.0
# On a CPU caches may save what a core takes to move the data from and to memory, at least: of a few microseconds the
# baseline's own saving drowns in its Python's noise. Saxpy on cold buffers moves 24 GB/s and more (Zen 4, a shared
# machine); this is a busy one.
SLOW_MEMORY_BYTES_PER_US = 10e3
# But only of a launch that can have moved the data again: a core's nearest cache gives it 64 bytes a cycle, at 4 GHz.
FAST_CACHE_BYTES_PER_US = 256e3


class Medians(Protocol):
    """Microseconds of a call, of the candidate and of the baseline."""

    @property
    def median_us(self) -> float:
        """The candidate's."""

    @property
    def baseline_us(self) -> float:
        """The baseline's."""


def repeating_fault(cold: Medians, warm: Medians, moved_bytes: float, cores: int | None) -> str | None:
    """Why a candidate cannot have done its work again, None if it can; `cores` of a CPU, None on a GPU.

    `cold`: buffers in turn, from memory; `warm`: the same ones every time. `moved_bytes` as in kernel.Cost.
    """
    saved, usual = cold.median_us / warm.median_us, max(1.0, cold.baseline_us / warm.baseline_us)
    if saved <= MARGIN * usual:
        return None
    if cores is not None and cold.median_us - warm.median_us <= _cpu_may_save_us(cold, warm, moved_bytes, cores):
        return None
    told = f"may be {MARGIN * usual:.1f}x as fast as on other ones, got {saved:.1f}x"
    return f"a launch on the same buffers as the one before {told}"


def _cpu_may_save_us(cold: Medians, warm: Medians, moved_bytes: float, cores: int) -> float:
    """In microseconds, not as a ratio: a baseline's call has Python's time in it, of which caches save nothing."""
    moved_again = warm.median_us >= moved_bytes / (cores * FAST_CACHE_BYTES_PER_US)
    of_memory = moved_bytes / SLOW_MEMORY_BYTES_PER_US if moved_again else 0.0
    return max(MARGIN * (cold.baseline_us - warm.baseline_us), of_memory)
