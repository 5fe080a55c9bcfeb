"""Process groups that end with this process, even if it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

# Its standard input ends when the process that holds the pipe's other end has ended.
WATCH = ("/bin/sh", "-c", "read -r _; kill -9 0")


@contextlib.contextmanager
def bound_process_group() -> Iterator[int]:
    """Yield the number of a new process group whose members are killed on exit, or when this process ends.

    The first member watches this process. It starts before all others, so that none of them is ever unwatched.
    """
    # This process holds the writing end: the watcher reads its end of file.
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
