"""The OpenMP team of this process: formed before a sample begins, ended after it.

Candidate and baseline are timed in processes of their own. A thread that waits for its team's next work occupies a core
for milliseconds: the other process would lose that time. And a team that does not exist yet costs its first call 50 us
a thread. So every sample begins with a team that was just formed, and leaves none.
"""

from __future__ import annotations

from evotune_workers.compilers.own_library import own_library

# A second region finds the threads of the first one awake.
SOURCE = """
#include <omp.h>

extern "C" void form_team() {
    for (int region = 0; region < 2; ++region) {
        #pragma omp parallel
        asm volatile("" ::: "memory");
    }
}

extern "C" int end_team() { return omp_pause_resource_all(omp_pause_soft); }
"""


def form_team() -> None:
    """Start this process's OpenMP threads; raise ToolchainError without a compiler."""
    own_library(SOURCE, "-fopenmp").form_team()


def end_team() -> None:
    """End this process's OpenMP threads: the next region starts new ones (omp_pause_soft, OpenMP 5.0)."""
    own_library(SOURCE, "-fopenmp").end_team()
