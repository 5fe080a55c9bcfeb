"""Small libraries of evotune's own, compiled once for a machine."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib

from evotune_workers.compilers.cpp import compile_own, compiler_version
from evotune_workers.system.cache import cache_folder, unfinished
from evotune_workers.system.temporary import temporary_folder


@functools.cache
def own_library(source: str, *flags: str) -> ctypes.CDLL:
    """Load the library of a C++ source, from the cache where it has been compiled before.

    Raises ToolchainError without a compiler.
    """
    key = hashlib.sha256("\0".join((compiler_version(), *flags, source)).encode()).hexdigest()
    stored = cache_folder() / "own" / f"{key}.so"
    with contextlib.suppress(OSError):
        return ctypes.CDLL(str(stored))
    with temporary_folder() as folder:
        file, library = folder / "own.cpp", folder / "own.so"
        file.write_text(source)
        compile_own(file, library, *flags)
        # A full or read-only cache costs time, never a result.
        with contextlib.suppress(OSError), unfinished() as place:
            stored.parent.mkdir(parents=True, exist_ok=True)
            copy = place / "own.so"
            copy.write_bytes(library.read_bytes())
            copy.replace(stored)
        return ctypes.CDLL(str(library))
