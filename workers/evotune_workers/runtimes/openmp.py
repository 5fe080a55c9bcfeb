"""One OpenMP runtime for candidate and baseline, so that neither meets the other's spinning threads.

OpenMP's workers spin for a while after a parallel region. With a runtime each, whichever side runs next has its cores
taken by the other's workers; with one runtime, the same workers serve both.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

LIBRARY = re.compile(r"\S*/lib(?:g|i|)omp[^/\s]*\.so\S*")


def loaded_runtimes() -> tuple[str, ...]:
    """Paths of the OpenMP runtimes mapped into this process."""
    maps = Path("/proc/self/maps")
    return tuple(sorted(set(LIBRARY.findall(maps.read_text())))) if maps.exists() else ()


def share_torch_runtime() -> str:
    """Makes torch's OpenMP runtime the one that libraries loaded later bind to; returns how, for the record.

    Call it after importing torch and before loading a build.
    """
    runtimes = loaded_runtimes()
    for path in runtimes:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    return f"shared with torch ({', '.join(Path(path).name for path in runtimes)})" if runtimes else "torch has none"


def cpu_environment(cores: int) -> dict[str, str]:
    """The child's environment: as many threads as cores (Ray would set one), not pinned.

    Beside Ray's daemons a pinned thread waits where a free one moves: with OMP_PROC_BIND the SDPA baseline, which meets
    many barriers, took 4.5 to 5.0 ms at 1x8x512x64 instead of 3.8, and the candidate, which meets few, hardly more.
    """
    return {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}
