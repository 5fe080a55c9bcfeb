"""One killable child process: it is started, asked and killed."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from evotune_workers.child.forking import Output, fork_server
from evotune_workers.child.messages import Answer, Broke, Refused, Reply, Request, Start
from evotune_workers.system import time_limits

# Importing torch on a loaded machine takes seconds; beyond this the environment is at fault.
START_LIMIT_SECONDS = 120.0


class ChildDied(Exception):
    """The child ended by itself while serving a request; the text says how."""


class ServerDied(ChildDied):
    """The process that forks children ended before it told how this child ended."""


class ChildTimeout(Exception):
    """The child did not answer within the time limit and was killed."""


class BuildRefused(Exception):
    """The build failed without ending the child: it does not load, or reports a bad status."""


class ChildBroke(RuntimeError):
    """evotune or the kernel's own Python raised in the child: the text is its traceback."""


class ChildProcess:
    """A child in a process group of its own, which ends when this process does, however that happens."""

    def __init__(self, start: Start, environment: Mapping[str, str]) -> None:
        """Ask for the child and return at once; it prepares its device meanwhile."""
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._output = Output()
        self._server = fork_server(environment)
        self._process = self._server.fork(theirs.fileno(), lifeline, self._output.fileno())
        theirs.close()
        os.close(lifeline)
        self._connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # wait_until_ready tells when the child has ended already
            self._connection.send(replace(start, environment={**os.environ, **environment}))

    @property
    def serves(self) -> bool:
        """True while it runs and waits for a request: a child that has ended has closed its connection."""
        return self._process.alive and not self._connection.poll()

    def wait_until_ready(self) -> dict[str, Any]:
        """Return the part of its set-up that affects timings; raises ChildDied, ChildTimeout, ChildBroke."""
        conditions: dict[str, Any] = self._answer(START_LIMIT_SECONDS)
        return conditions

    def exchange(self, request: Request, time_limit: float) -> Any:
        """Return the answer to a request; raises ChildDied, ChildTimeout, BuildRefused, ChildBroke."""
        try:
            self._connection.send(request)
        except OSError:
            raise self._death() from None
        return self._answer(time_limit)

    def kill(self) -> None:
        """Kill its whole process group and free its resources."""
        os.close(self._lifeline)  # which ends a child that is not forked yet
        self._process.kill()
        self._connection.close()
        self._output.close()

    def _answer(self, time_limit: float) -> Any:
        try:
            if not self._connection.poll(time_limit):
                raise ChildTimeout(f"{time_limits.ANSWER} {time_limit:.0f} s")
            reply: Reply = self._connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._death() from None
        return _value(reply)

    def _death(self) -> ChildDied:
        code, last = self._process.end(), self._output.last_line()
        if code is None:
            self._server.close()
            return ServerDied(_with_last("the server that forks it ended", self._server.output.last_line()))
        if code < 0:
            return ChildDied(_with_last(f"killed by {signal.Signals(-code).name}", last))
        return ChildDied(_with_last(f"exit code {code} without an answer", last))


def _with_last(how: str, last_line: str) -> str:
    return f"{how} ({last_line})" if last_line else how


def _value(reply: Reply) -> Any:
    match reply:
        case Answer(value):
            return value
        case Refused(reason):
            raise BuildRefused(reason)
        case Broke(traceback):
            raise ChildBroke(traceback)
