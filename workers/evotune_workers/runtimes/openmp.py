"""One OpenMP runtime for candidate and baseline, so that neither is slowed by the other's spinning threads.

OpenMP's threads spin for a while after a parallel region. With two runtimes, the threads of the side that ran last
would occupy the cores of the side that runs next. With one runtime, the same threads serve both sides.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

LIBRARY = re.compile(r"\S*/lib(?:g|i|)omp[^/\s]*\.so\S*")


def loaded_runtimes() -> tuple[str, ...]:
    """Return the paths of the OpenMP runtimes mapped into this process."""
    maps = Path("/proc/self/maps")
    return tuple(sorted(set(LIBRARY.findall(maps.read_text())))) if maps.exists() else ()


def share_torch_runtime() -> str:
    """Make libraries that are loaded later bind to torch's OpenMP runtime; return a description for the record.

    Call it after importing torch and before loading a build.
    """
    runtimes = loaded_runtimes()
    for path in runtimes:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    return f"shared with torch ({', '.join(Path(path).name for path in runtimes)})" if runtimes else "torch has none"


def cpu_environment(cores: int) -> dict[str, str]:
    """Return the child's environment: as many threads as cores (Ray would set one), not pinned.

    Beside Ray's daemons a pinned thread waits where a free one moves to another core. With OMP_PROC_BIND the SDPA
    baseline, which has many barriers, took 4.5 to 5.0 ms at 1x8x512x64 instead of 3.8. The candidate, which has few,
    took hardly longer.
    """
    return {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}
