"""The C allocator in the state that it has in a long-running process: it keeps freed memory and uses it again.

By default glibc maps every block above a threshold anew, and unmaps it when freed, until a large block has been freed
once. In a fresh process each call of a baseline that allocates megabytes then pays for page faults, and the comparison
would flatter the candidate. (SDPA through FP32 at 1x8x512x64 took 4.8 ms instead of 3.5 ms.)
"""

from __future__ import annotations

import ctypes

# Parameters of mallopt(3), from glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# The largest threshold that glibc accepts on 64-bit machines (mallopt(3): HEAP_MAX_SIZE / 2).
MMAP_THRESHOLD_BYTES = 32 << 20
TRIM_THRESHOLD_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Fix the thresholds for this process; return False where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)) and bool(
        mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    )
