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
