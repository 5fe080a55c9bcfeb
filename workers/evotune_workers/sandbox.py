"""The parent's side of the killable child: start, ask with a time limit, kill the whole process group.

A crash and an overrun are exceptions of their own; after either the child is gone, and the next request gets a fresh
one.
"""

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

from .device import import_path
from .messages import Answer, Broke, Refused, Reply, Request, Start

# Importing torch on a loaded machine takes seconds; beyond this the environment is at fault.
START_LIMIT_SECONDS = 120.0
KEPT_STDERR_BYTES = 2000


class ChildDied(Exception):
    """The child ended by itself while serving a request; the text says how."""


class ChildTimeout(Exception):
    """The child did not answer within the time limit and was killed."""


class BuildRefused(Exception):
    """The build failed in an orderly way: it does not load, or reports a bad status."""


class ChildBroke(RuntimeError):
    """evotune or the kernel's own Python raised in the child: the text is its traceback."""


class Sandbox:
    """A child process that runs untrusted builds; restarted as needed."""

    def __init__(self, start: Start, environment: Mapping[str, str]) -> None:
        """Nothing is started before the first request."""
        self._start, self._environment = start, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._lifeline: int | None = None
        self._stderr: Any = None
        self.conditions: dict[str, Any] = {}

    @property
    def alive(self) -> bool:
        """Whether a child is running."""
        return self._process is not None and self._process.poll() is None

    def ask(self, request: Request, time_limit: float) -> Any:
        """The answer to a request, from a running child or a fresh one.

        Raises ChildDied, ChildTimeout, BuildRefused, ChildBroke. The limit does not include starting the child.
        """
        if not self.alive:
            self._spawn()
        return self._exchange(request, time_limit)

    def close(self) -> None:
        """Kills the child's whole process group, if there is one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None

    def _spawn(self) -> None:
        self.close()
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child
        arguments = [sys.executable, "-m", "evotune_workers.child", str(theirs.fileno()), str(lifeline)]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=(theirs.fileno(), lifeline),
            env={**os.environ, **self._environment, "PYTHONPATH": import_path()},
            start_new_session=True,
        )
        theirs.close()
        os.close(lifeline)
        self._connection = Connection(ours.detach())
        try:
            self.conditions = self._exchange(self._start, START_LIMIT_SECONDS)
        except (ChildDied, ChildTimeout) as error:
            # No build has been loaded yet: nothing that a configuration can be blamed for.
            raise ChildBroke(f"the measuring process must start: {error}") from error

    def _exchange(self, request: Request, time_limit: float) -> Any:
        assert self._connection is not None
        try:
            self._connection.send(request)
            if not self._connection.poll(time_limit):
                self.close()
                raise ChildTimeout(f"no answer within {time_limit:.0f} s")
            reply: Reply = self._connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            died = self._how_it_died()
            self.close()
            raise ChildDied(died) from None
        return _value(reply)

    def _how_it_died(self) -> str:
        assert self._process is not None
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
