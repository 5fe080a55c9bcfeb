"""Temporary folders that are removed even if their process is killed: the next process to need one removes them.

The process that made a folder keeps a lock (`flock`) on it. The system releases the lock when the process ends.
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
# Gives processes that end a moment after their parent the time to stop writing.
REMOVAL_SECONDS = 3.0
_swept: set[Path] = set()


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder and remove it on exit.

    It lies in `parent`, or else in the folder of `run_folder`, or else where the system keeps temporary files. A
    process that makes its first folder in a place also removes what killed processes left there.
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
    """Yield a temporary folder in which this process and its children make theirs meanwhile."""
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
    """Remove this user's temporary folders in `place` whose process has ended."""
    for folder in place.glob(f"{PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            remove(folder)
            os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder, and try again for a few seconds if files appear meanwhile.

    The next `sweep` removes what is left.
    """
    deadline = time.monotonic() + REMOVAL_SECONDS
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)


def _make(place: Path) -> tuple[Path, int]:
    """Make and lock a folder; retry when another process swept it before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = _lock(folder)
        if lock is not None and folder.is_dir():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a file handle that holds the folder's lock.

    Returns None when another process holds it, or when the folder is gone or belongs to another user.
    """
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
