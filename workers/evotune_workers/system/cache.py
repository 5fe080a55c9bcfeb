"""The folder in which this user's builds and unpacked kernels are kept."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from evotune_workers.system.temporary import temporary_folder


def cache_folder() -> Path:
    """Return `$EVOTUNE_CACHE`, or else `evotune` in the XDG cache folder."""
    override = os.environ.get("EVOTUNE_CACHE")
    if override:
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evotune"


def unfinished() -> contextlib.AbstractContextManager[Path]:
    """Return a temporary folder on the cache's file system, from which complete files are moved into the cache.

    Whatever is still in it at the end is removed.
    """
    parent = cache_folder() / "unfinished"
    parent.mkdir(parents=True, exist_ok=True)
    return temporary_folder(parent)


def check_cache() -> None:
    """Raise OSError when nothing can be written to the cache folder."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache_folder()) as file:
        file.write(b"evotune")
