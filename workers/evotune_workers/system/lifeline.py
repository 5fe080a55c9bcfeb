"""Process groups that die with this process, even if it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

# Its standard input ends when whoever holds the pipe's other end is gone.
WATCH = ("/bin/sh", "-c", "read -r _; kill -9 0")


@contextlib.contextmanager
def bound_process_group() -> Iterator[int]:
    """The number of a process group; its members are killed at the end, or as soon as this process ends before.

    The group's first member watches this process, so that none is ever without.
    """
    watched, held = os.pipe()
    watcher = subprocess.Popen(
        WATCH, stdin=watched, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )
    os.close(watched)
    try:
        yield watcher.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(watcher.pid, signal.SIGKILL)
        watcher.wait()
        os.close(held)
