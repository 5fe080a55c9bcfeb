"""One killable child process: it is started, asked and killed."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from evotune_workers.child.messages import Answer, Broke, Refused, Reply, Request, Start
from evotune_workers.system import time_limits
from evotune_workers.system.import_path import import_path

# Importing torch on a loaded machine takes seconds; beyond this the environment is at fault.
START_LIMIT_SECONDS = 120.0
KEPT_STDERR_BYTES = 2000


class ChildDied(Exception):
    """The child ended by itself while serving a request; the text says how."""


class ChildTimeout(Exception):
    """The child did not answer within the time limit and was killed."""


class BuildRefused(Exception):
    """The build failed without ending the child: it does not load, or reports a bad status."""


class ChildBroke(RuntimeError):
    """evotune or the kernel's own Python raised in the child: the text is its traceback."""


class ChildProcess:
    """A child in a process group of its own, which ends when this process does, however that happens."""

    def __init__(self, start: Start, environment: Mapping[str, str]) -> None:
        """Start the child and return at once; it loads its libraries meanwhile."""
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child
        arguments = [sys.executable, "-m", "evotune_workers.child.main", str(theirs.fileno()), str(lifeline)]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=(theirs.fileno(), lifeline),
            env={**os.environ, **environment, "PYTHONPATH": import_path()},
            start_new_session=True,
        )
        theirs.close()
        os.close(lifeline)
        self._connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # wait_until_ready tells when the child has ended already
            self._connection.send(start)

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> dict[str, Any]:
        """Return the part of its set-up that affects timings; raises ChildDied, ChildTimeout, ChildBroke."""
        conditions: dict[str, Any] = self._answer(START_LIMIT_SECONDS)
        return conditions

    def exchange(self, request: Request, time_limit: float) -> Any:
        """Return the answer to a request; raises ChildDied, ChildTimeout, BuildRefused, ChildBroke."""
        try:
            self._connection.send(request)
        except OSError:
            raise ChildDied(self._how_it_died()) from None
        return self._answer(time_limit)

    def kill(self) -> None:
        """Kill its whole process group and free its resources."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._connection.close()
        os.close(self._lifeline)
        self._stderr.close()

    def _answer(self, time_limit: float) -> Any:
        try:
            if not self._connection.poll(time_limit):
                raise ChildTimeout(f"{time_limits.ANSWER} {time_limit:.0f} s")
            reply: Reply = self._connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            raise ChildDied(self._how_it_died()) from None
        return _value(reply)

    def _how_it_died(self) -> str:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it has closed its socket and cannot answer any more
        code = self._process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code} without an answer"
        self._stderr.seek(0)
        last = self._stderr.read()[-KEPT_STDERR_BYTES:].decode(errors="replace").strip().splitlines()[-1:]
        return f"{how} ({last[0]})" if last else how


def _value(reply: Reply) -> Any:
    match reply:
        case Answer(value):
            return value
        case Refused(reason):
            raise BuildRefused(reason)
        case Broke(traceback):
            raise ChildBroke(traceback)
