"""Processor time that others took from this process: the counterpart on a CPU of a GPU's throttling."""

from __future__ import annotations

import os
from pathlib import Path

TASKS = Path("/proc/self/task")
STAT = Path("/proc/stat")
# Fields of /proc/stat's first line (proc(5)): "cpu", user, nice, system, idle, iowait, irq, softirq, steal.
STEAL = 8


def lost_seconds() -> float:
    """Return the seconds that the hypervisor stole from the machine plus those that our threads waited for a core.

    Counted since the machine and the threads started, and summed over cores and threads. 0 where the system does not
    report them.
    """
    return _stolen_seconds() + _waited_seconds()


def _stolen_seconds() -> float:
    fields = STAT.read_text().split("\n", 1)[0].split() if STAT.exists() else []
    return float(fields[STEAL]) / os.sysconf("SC_CLK_TCK") if len(fields) > STEAL else 0.0


def _waited_seconds() -> float:
    """Return the time that our threads spent runnable without a core.

    It is the second field of schedstat, in nanoseconds (Linux documentation, sched-stats.rst).
    """
    total = 0
    for task in TASKS.iterdir() if TASKS.exists() else ():
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except (OSError, IndexError):
            continue  # a thread that has just ended
    return total / 1e9
