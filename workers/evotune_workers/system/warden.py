"""Clean up a folder after its process: end the processes that still write into it, then remove it.

Some of Ray's processes outlive a killed Ray by a minute. The cleaning runs in a process of its own, which is not killed
with the one that it watches: `python -m evotune_workers.system.warden FOLDER`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from evotune_workers.system.import_path import import_path
from evotune_workers.system.temporary import remove

LIMIT_SECONDS = 10.0


@contextlib.contextmanager
def warden(folder: Path) -> Iterator[None]:
    """Clean up the folder on exit, or when this process ends before.

    Every other process of this user that then has a file of the folder open for writing is killed.
    """
    command = [sys.executable, "-m", "evotune_workers.system.warden", str(folder)]
    watching = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": import_path()},
        start_new_session=True,
    )
    try:
        yield
    finally:
        watching.communicate()


def main() -> None:
    """Wait until the watched process closes our standard input or ends, then clean up."""
    watched = os.getppid()
    sys.stdin.buffer.read()
    folder = sys.argv[1]
    deadline = time.monotonic() + LIMIT_SECONDS
    while _end_writers(folder, watched) and time.monotonic() < deadline:
        time.sleep(0.05)
    remove(Path(folder))


def _end_writers(folder: str, watched: int) -> bool:
    """Kill the processes that write into the folder, and return True if there were any.

    The watched process is spared: it has logs of its own there, and may go on without Ray.
    """
    writers = {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _writes_into(folder, entry)}
    writers.discard(watched)
    for process in writers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
    return bool(writers)


def _writes_into(folder: str, process: Path) -> bool:
    """Return True if a process has a file there open for writing; False for another user's, which hides its files."""
    with contextlib.suppress(OSError):
        there = [file for file in (process / "fd").iterdir() if str(file.readlink()).startswith(f"{folder}/")]
        return any(_may_write(process / "fdinfo" / file.name) for file in there)
    return False


def _may_write(information: Path) -> bool:
    flags = next(line for line in information.read_text().splitlines() if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY


if __name__ == "__main__":
    main()
