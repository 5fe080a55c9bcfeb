"""The OpenMP team of this process: formed before a sample begins, ended after it.

Candidate and baseline are timed in processes of their own. A thread that waits for its team's next work occupies a core
for milliseconds: the other process would lose that time. And a team that does not exist yet costs its first call 50 us
a thread. So every sample begins with a team that was just formed, and leaves none.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from evotune_workers.compilers.own_library import own_library

# A new thread may be put on the core of the one that made it, which keeps that core while it waits for the team to be
# complete: 15 ms with GCC's OpenMP. So the first team has a thread more than there are cores, and that OpenMP then lets
# no thread wait actively. Each stays on a core of its own until a second region, of as many threads as usual, has found
# them awake; where they run after that is up to the system.
SOURCE = """
#include <omp.h>
#include <sched.h>

static void keep_to(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

extern "C" void form_team(const int* cpus, int count) {
    cpu_set_t allowed;
    // Fails where the set is too small for the machine's cores; the system then places the threads.
    const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    #pragma omp parallel num_threads(count + 1)
    if (known && omp_get_thread_num() < count) keep_to(cpus[omp_get_thread_num()]);
    #pragma omp parallel
    {
        #pragma omp barrier
        if (known) sched_setaffinity(0, sizeof allowed, &allowed);
    }
}

extern "C" int end_team() { return omp_pause_resource_all(omp_pause_soft); }
"""
SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def form_team() -> None:
    """Start this process's OpenMP threads, each on a core of its own; raise ToolchainError without a compiler."""
    cpus = _cpus_in_order()
    own_library(SOURCE, "-fopenmp").form_team((ctypes.c_int * len(cpus))(*cpus), len(cpus))


def end_team() -> None:
    """End this process's OpenMP threads: the next region starts new ones (omp_pause_soft, OpenMP 5.0)."""
    own_library(SOURCE, "-fopenmp").end_team()


@functools.cache
def _cpus_in_order() -> tuple[int, ...]:
    """Return the CPUs that this process may use: one of each core first, then the cores' other hardware threads."""
    allowed = sorted(os.sched_getaffinity(0))
    cores: dict[str, list[int]] = {}
    for cpu in allowed:
        cores.setdefault(_siblings(cpu), []).append(cpu)
    place = {cpu: members.index(cpu) for members in cores.values() for cpu in members}
    return tuple(sorted(allowed, key=lambda cpu: (place[cpu], cpu)))


def _siblings(cpu: int) -> str:
    """Return the name of a CPU's core: the list of its hardware threads, or itself where the system tells none."""
    listed = Path(SIBLINGS.format(cpu))
    return listed.read_text() if listed.exists() else str(cpu)
