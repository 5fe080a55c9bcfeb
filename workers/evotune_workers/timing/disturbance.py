"""Processor time that others took from this process: the counterpart on a CPU of a GPU's throttling."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TASKS = Path("/proc/self/task")
SLEPT = re.compile(rb"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class ThreadTimes:
    """A thread's nanoseconds: by the clock, on a core, runnable without a core; and how often it went to sleep.

    Time on a core excludes what a hypervisor stole from it (Linux, paravirtual time accounting).
    """

    clock_ns: int
    on_core_ns: int
    waited_ns: int
    sleeps: int

    def lost_since(self, earlier: ThreadTimes) -> int:
        """Return the nanoseconds that others took from the thread.

        For a thread that did not sleep that is all the time off a core. For another only the waiting is known.
        """
        on_core, slept = self.on_core_ns - earlier.on_core_ns, self.sleeps != earlier.sleeps
        if on_core == 0 or slept:
            return self.waited_ns - earlier.waited_ns
        return self.clock_ns - earlier.clock_ns - on_core


def thread_times() -> Mapping[str, ThreadTimes]:
    """Return the times of each thread of this process, by its number; none where the system does not report them."""
    found: dict[str, ThreadTimes] = {}
    for task in TASKS.iterdir() if TASKS.exists() else ():
        # A thread may have just ended.
        with contextlib.suppress(OSError, IndexError):
            found[task.name] = _times_of(task)
    return found


def lost_seconds(earlier: Mapping[str, ThreadTimes], later: Mapping[str, ThreadTimes]) -> float:
    """Return the seconds that others took from the threads which there were at both times, summed over them."""
    return sum(later[number].lost_since(earlier[number]) for number in earlier.keys() & later.keys()) / 1e9


def _times_of(task: Path) -> ThreadTimes:
    """Read a thread's times.

    The second field of schedstat is the waiting, in nanoseconds (Linux documentation, sched-stats.rst). Its first, the
    time on a core, is old by up to a tick of the scheduler while the thread runs, so the thread's own clock is read.
    """
    waited = int((task / "schedstat").read_bytes().split()[1])
    slept = SLEPT.findall((task / "status").read_bytes())[0]
    return ThreadTimes(time.perf_counter_ns(), time.clock_gettime_ns(_clock_of(int(task.name))), waited, int(slept))


def _clock_of(thread: int) -> int:
    """Return the number of a thread's CPU clock, as pthread_getcpuclockid does (Linux, posix-timers.h)."""
    return (~thread << 3) | 6
