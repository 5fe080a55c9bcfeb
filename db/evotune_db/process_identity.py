"""The identity of the process that has a lease, and a test that tells when it has ended."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESS_NAMESPACE = Path("/proc/self/ns/pid")
# Fields of /proc/<pid>/stat after the command's name, which may hold blanks: state, and start in ticks since boot.
STATE, STARTED = 0, 19
DEAD = ("Z", "X")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process. `machine` is a running system with its process numbers, None where the system does not tell.

    `born` tells a process from a later one of the same number.
    """

    host: str
    process: int
    machine: str | None
    born: str | None

    def has_ended(self, seen_from: ProcessIdentity) -> bool | None:
        """Return True if it has ended, and None if the machine of `seen_from` cannot know that."""
        if self.machine is None or self.machine != seen_from.machine:
            return None
        return _born(self.process) != self.born


def this_process() -> ProcessIdentity:
    """Return the identity of the calling process."""
    return ProcessIdentity(platform.node(), os.getpid(), _machine(), _born(os.getpid()))


def _machine() -> str | None:
    """Return the boot and the process namespace: containers of one host share the boot but not the namespace."""
    try:
        return f"{BOOT_ID.read_text().strip()} {PROCESS_NAMESPACE.readlink()}"
    except OSError:
        return None


def _born(process: int) -> str | None:
    """Return a process's start time, None if it has ended, even if its parent has not collected its status yet."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[STATE] in DEAD else fields[STARTED]
