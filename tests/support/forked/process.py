"""Start a command in a forked process and talk to it as to a `subprocess.Popen`."""

from __future__ import annotations

import atexit
import functools
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support.forked.request import ask
from tests.support.paths import IMPORT_PATH

# Commands import these when they need them.
COMMANDS = (
    "alembic.command",
    "evotune.cli",
    "evotune.export.package",
    "evotune.replay.replay_search",
    "evotune.search.run",
    "evotune.t4.importing",
    "evotune.trials.certify",
    "evotune.trials.compare",
    "evotune.trials.diagnose",
    "optuna",
    "psycopg",
    "ray",
    "torch",
)
# A test may change variables, such as HOME, that libraries read once, when they are imported.
BEFORE_ALL_TESTS = dict(os.environ)
SERVER_ENDED = "the process that forks commands must run, got its end: see what it printed on standard error"


class ForkedProcess:
    """A process in a session of its own; its output goes to files, so that it never waits for a reader."""

    def __init__(self, command: str, pipe: int, out: Output, err: Output) -> None:
        """Wait until the server has forked it; the pipe tells its number, and its exit code when it ends."""
        self._command, self._pipe, self._out, self._err = command, os.fdopen(pipe), out, err
        told = self._pipe.readline()
        assert told, SERVER_ENDED
        self.pid = int(told)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, minus the signal that killed it; None while it runs."""
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code when it has ended; raises subprocess.TimeoutExpired."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._command, timeout or 0.0, self.printed())
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it has printed when it has ended: on standard output and on standard error."""
        self.wait(timeout)
        return self._out.text(), "" if self._err is self._out else self._err.text()

    def printed(self) -> str:
        """Return what it has printed on standard output so far."""
        return self._out.text()

    def send_signal(self, number: int) -> None:
        """Send it a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it if it still runs."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> ForkedProcess:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill it if it still runs."""
        self.kill()
        self.wait()

    def _read(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._pipe], [], [], timeout)[0]:
            told = self._pipe.readline()
            assert told, SERVER_ENDED
            self.returncode = int(told)
            self._pipe.close()
        return self.returncode


class Output:
    """A file that takes what a process prints."""

    def __init__(self, log: Path | None = None) -> None:
        """Append to that file, or take one in memory."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self.descriptor = os.memfd_create("output") if log is None else os.open(log, flags)

    def text(self) -> str:
        """Return all of it, without moving the position, which the process shares."""
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, size, 0).decode(errors="replace")

    def __del__(self) -> None:
        """Close it."""
        os.close(self.descriptor)


def start(
    module: str,
    *arguments: str,
    folder: Path,
    variables: Mapping[str, str],
    log: Path | None = None,
    merged: bool = False,
    namespaces: Sequence[str] = (),
    imported: tuple[str, ...] = COMMANDS,
) -> ForkedProcess:
    """Start `python -m MODULE ARGUMENTS` with these variables, but those that libraries read when they are imported.

    It is forked from a process that has imported `imported`. Both streams go to the log if there is one, and both to
    standard output if they are `merged`.
    """
    out = Output(log)
    err = out if log or merged else Output()
    with Path(os.devnull).open() as nothing:
        streams = (nothing.fileno(), out.descriptor, err.descriptor)
        pipe = ask(fork_server(imported).control, module, arguments, str(folder), variables, streams, namespaces)
    return ForkedProcess(module, pipe, out, err)


@dataclass(frozen=True)
class ForkServer:
    """The server's process number, and the socket on which it is asked."""

    pid: int
    control: socket.socket


@functools.cache
def fork_server(imported: tuple[str, ...]) -> ForkServer:
    """Return this process's server with these modules, started with the variables of before all tests.

    It ends with this process.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # OpenBLAS starts threads when NumPy is imported; a process that forks must have none.
    variables = {**BEFORE_ALL_TESTS, "PYTHONPATH": IMPORT_PATH, "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked.server", str(theirs.fileno()), *imported],
        stdin=subprocess.DEVNULL,
        env=variables,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    atexit.register(_end, ours, server)
    return ForkServer(server.pid, ours)


def _end(control: socket.socket, server: subprocess.Popen[bytes]) -> None:
    control.close()
    server.wait()
