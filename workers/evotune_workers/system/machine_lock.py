"""Keeping a machine quiet while its CPU is being measured: builds share a lock, a measurement takes it alone.

The locks are files (`flock`), so that they hold between searches and processes, and are released when a process dies.
A turnstile makes it fair: a measurement that waits keeps new builds from starting, so it waits for running ones only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Waits until no measurement runs or waits on this machine's CPU, and keeps new ones out."""
    with _open("turnstile") as turnstile, _open("quiet") as quiet:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(quiet, fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """Waits until nothing else builds or measures on this machine's CPU, and keeps it so."""
    with _open("turnstile") as turnstile, _open("quiet") as quiet:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(quiet, fcntl.LOCK_EX)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _open(name: str) -> Iterator[int]:
    # Of the machine, not of a user or of a home that machines share.
    path = Path(tempfile.gettempdir()) / f"evotune-cpu-{name}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # another user's: a lock needs no more
    try:
        yield handle
    finally:
        os.close(handle)
