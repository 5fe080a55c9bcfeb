"""The folders from which libraries are loaded: a file system that is mounted noexec lets nobody load one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evotune_workers.system.cache import cache_folder
from evotune_workers.system.temporary import VARIABLE


class NoLibraries(RuntimeError):
    """A folder is mounted so that no library can be loaded from it; one line."""


def check_library_folders() -> None:
    """Raise NoLibraries where a build, or a library of evotune's own, could not be loaded.

    Every configuration would fail at its launch, and be blamed for it.
    """
    temporary = Path(os.environ.get(VARIABLE) or tempfile.gettempdir())
    for folder, variable in ((temporary, "TMPDIR"), (cache_folder(), "EVOTUNE_CACHE")):
        if folder.exists() and os.statvfs(folder).f_flag & os.ST_NOEXEC:
            raise NoLibraries(
                f"libraries must load from {folder}, got a file system mounted noexec; set {variable} to another folder"
            )
