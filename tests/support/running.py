"""The processes that run below one, while others of them come and go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import psutil


def running_below(pid: int | None = None) -> Mapping[psutil.Process, str]:
    """Return the names of what runs below a process (this one by default), without what ends meanwhile."""
    found: dict[psutil.Process, str] = {}
    for process in psutil.Process(pid if pid is not None else os.getpid()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found[process] = process.name()
    return found


def running_named(name: str, pid: int | None = None) -> list[psutil.Process]:
    """Return what runs below a process (this one by default) under that name."""
    return [process for process, found in running_below(pid).items() if found == name]
