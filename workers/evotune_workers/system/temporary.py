"""Temporary folders that outlive nobody: what a killed process left is removed when another one needs a folder.

A folder is locked (`flock`) by the process that made it for as long as it lives, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "evotune-tmp-"
VARIABLE = "EVOTUNE_TEMPORARY_FOLDER"
# For processes that end a moment later than who started them to stop writing.
REMOVAL_SECONDS = 3.0
_swept: set[Path] = set()


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder, removed at the end; in `parent`, else in the run's folder, else where temporary files go.

    The first of a process removes what killed ones left there.
    """
    place = parent or Path(os.environ.get(VARIABLE) or tempfile.gettempdir())
    if place not in _swept:
        sweep(place)
        _swept.add(place)
    folder, lock = _make(place)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


@contextlib.contextmanager
def run_folder(parent: Path | None = None) -> Iterator[Path]:
    """A scratch folder that holds those of this process and of all that it starts meanwhile."""
    with temporary_folder(parent) as folder:
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(folder)
        try:
            yield folder
        finally:
            os.environ.pop(VARIABLE)
            if before is not None:
                os.environ[VARIABLE] = before


def sweep(place: Path) -> None:
    """Removes this user's scratch folders in `place` whose process has ended."""
    for folder in place.glob(f"{PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            remove(folder)
            os.close(lock)


def remove(folder: Path) -> None:
    """Removes a folder, again for a while if files appear meanwhile; what is left is removed by the next sweep."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)


def _make(place: Path) -> tuple[Path, int]:
    """Again when another process swept the new folder before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = _lock(folder)
        if lock is not None and folder.is_dir():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A handle that holds the lock; None when another process has it, or the folder is gone or another user's."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
