"""The machine lock: builds share it, a measurement on the CPU takes it exclusively.

The locks are files (`flock`). They hold between searches and processes, and are released when a process dies.
A second lock makes it fair: while a measurement waits, no new build starts, so it waits for running builds only.
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
    """Wait until no measurement runs or waits on this machine's CPU, then keep new ones out."""
    with _open("turnstile") as turnstile, _open("machine") as machine:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """Wait until nothing else builds or measures on this machine's CPU, then keep it so."""
    with _open("turnstile") as turnstile, _open("machine") as machine:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _open(name: str) -> Iterator[int]:
    # The temporary folder belongs to the machine; a home may be shared by machines.
    path = Path(tempfile.gettempdir()) / f"evotune-cpu-{name}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # another user's file: reading suffices for a lock
    try:
        yield handle
    finally:
        os.close(handle)
