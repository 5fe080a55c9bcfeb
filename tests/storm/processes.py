"""Everything that a search started, found even when its parent is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator

import psutil

from tests.support.forked.process import COMMANDS, fork_server

PR_SET_CHILD_SUBREAPER = 36
GONE_WITHIN_SECONDS = 20.0
# Victims by what their command line holds: a measurement or a build goes on somewhere else, or the search ends.
SURVIVED = {"worker": "ray::", "child": "evotune_workers.child.fork_server"}
FATAL = {"raylet": "raylet/raylet", "gcs": "gcs/gcs_server"}
# By name: a search's command line may hold a URL with the same word.
SERVER = "postgres"
# Ray's processes that have no part of a search in hand.
WITHOUT_WORK = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
# Processes below this one from before; the server that forks searches is among them.
_BEFORE: set[int] = set()


@contextlib.contextmanager
def orphans_adopted() -> Iterator[None]:
    """Make processes whose parent ends children of this one, in this context; what runs before is no part of it."""
    fork_server(COMMANDS)
    _BEFORE.update(process.pid for process in psutil.Process().children(recursive=True))
    _adopt(True)
    try:
        yield
    finally:
        reap()
        _adopt(False)
        _BEFORE.clear()


def _adopt(orphans: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def reap() -> None:
    """Wait for adopted processes that have ended: nobody else does."""
    for process in psutil.Process().children():
        if process.pid not in _BEFORE and has_ended(process):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def started() -> dict[int, str]:
    """Command lines by process of all that has been started below this process, but for a database server."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.pid not in _BEFORE and not has_ended(process) and process.name() != SERVER:
                found[process.pid] = " ".join(process.cmdline()) or process.name()
    return found


def kill_one(kind: str) -> bool:
    """Kill a process of that kind with SIGKILL; return False when there is none at the moment."""
    marks = {**SURVIVED, **FATAL}
    for pid in _matching(marks[kind]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def require_none() -> None:
    """Raise AssertionError when something still runs after GONE_WITHIN_SECONDS."""
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while left := started():
        reap()
        assert time.monotonic() < deadline, f"orphans: {left}"
        time.sleep(0.05)


def _matching(mark: str) -> Iterator[int]:
    for pid, command in started().items():
        if mark in command and not command.startswith(WITHOUT_WORK):
            yield pid


def has_ended(process: psutil.Process) -> bool:
    """Also when nobody has taken notice of its end yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
