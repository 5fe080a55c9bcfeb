"""Ends what writes into a folder, and removes the folder, when the process that uses it has ended.

Some of Ray's processes outlive a Ray that was killed by a minute. A process of its own sees to it, which is not killed
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
    """Ends at the end, or when this process ends before, what then has a file in the folder open for writing."""
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
    """Waits for the end of standard input, whose other end is in the process that is watched."""
    watched = os.getppid()
    sys.stdin.buffer.read()
    folder = sys.argv[1]
    deadline = time.monotonic() + LIMIT_SECONDS
    while _end_writers(folder, watched) and time.monotonic() < deadline:
        time.sleep(0.05)
    remove(Path(folder))


def _end_writers(folder: str, watched: int) -> bool:
    """Whether there were any but the one that is watched: it has logs of its own there, and may go on without Ray."""
    writers = {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _writes_into(folder, entry)}
    writers.discard(watched)
    for process in writers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
    return bool(writers)


def _writes_into(folder: str, process: Path) -> bool:
    """Whether it has a file there open for writing; another user's process does not tell."""
    with contextlib.suppress(OSError):
        there = [file for file in (process / "fd").iterdir() if str(file.readlink()).startswith(f"{folder}/")]
        return any(_may_write(process / "fdinfo" / file.name) for file in there)
    return False


def _may_write(information: Path) -> bool:
    flags = next(line for line in information.read_text().splitlines() if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY


if __name__ == "__main__":
    main()
