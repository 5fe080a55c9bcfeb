"""The parent's side of the fork server: it starts the server, and asks it for children."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping

from evotune_workers.system.import_path import import_path

KEPT_OUTPUT_BYTES = 2000
# A child that has closed its connection is about to end, with an exit code that tells why.
ENDING_SECONDS = 1.0


class ForkServer:
    """A process that forks children with these variables, which libraries read when they are loaded."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start the server and return at once; it imports its libraries meanwhile."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.output = Output()
        # OpenBLAS starts threads when NumPy is imported; a process that forks must have none.
        variables = {**environment, "PYTHONPATH": import_path(), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "evotune_workers.child.fork_server", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=self.output.fileno(),
            stderr=self.output.fileno(),
            pass_fds=(theirs.fileno(),),
            env={**os.environ, **variables},
            start_new_session=True,
        )
        theirs.close()

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process.poll() is None

    def fork(self, connection: int, lifeline: int, output: int) -> Forked:
        """Ask for a child that has these files; the caller keeps its own."""
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):  # the child's pipe then tells that there is none
            socket.send_fds(self._control, [b"fork"], [connection, lifeline, output, writing])
        os.close(writing)
        return Forked(self, reading)

    def kill(self, process: int) -> None:
        """Kill the process group of a child, if it still runs."""
        try:
            self._control.send(b"%d" % process)
        except OSError:  # the server has ended
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process, signal.SIGKILL)

    def close(self) -> None:
        """End the server; its children go on, and `kill` still ends them."""
        self._control.close()
        self._process.wait()


class Forked:
    """A child of the server, as the pipe tells of it: its process number, then its exit code."""

    def __init__(self, server: ForkServer, pipe: int) -> None:
        """Take the reading end of the child's pipe."""
        self._server, self._pipe = server, pipe
        self._told, self._ended = b"", False

    @property
    def alive(self) -> bool:
        """True until it has ended; True too while the server has not forked it yet."""
        self._read(wait=False)
        return not self._ended

    def kill(self) -> None:
        """Kill it with its process group, and wait until it has ended."""
        if self.alive and (process := self._number(0)) is not None:
            self._server.kill(process)
            self.end()
        os.close(self._pipe)

    def end(self) -> int | None:
        """End it unless it ends by itself; return its exit code, minus the signal that killed it, None if unknown."""
        self._read(wait=self._number(0) is None)
        select.select([self._pipe], [], [], ENDING_SECONDS)
        if (process := self._number(0)) is not None:
            self._server.kill(process)
        while not self._ended:
            self._read(wait=True)
        return self._number(1)

    def _number(self, place: int) -> int | None:
        complete = self._told.split(b"\n")[:-1]
        return int(complete[place]) if place < len(complete) else None

    def _read(self, wait: bool) -> None:
        while not self._ended and (wait or select.select([self._pipe], [], [], 0)[0]):
            told = os.read(self._pipe, 64)
            self._told += told
            self._ended, wait = not told, False


class Output:
    """A nameless file that takes what a process prints."""

    def __init__(self) -> None:
        """Make the file, in memory."""
        self._file = os.memfd_create("output")

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._file

    def last_line(self) -> str:
        """Return the last line that was printed, or an empty text."""
        size = os.fstat(self._file).st_size
        kept = os.pread(self._file, KEPT_OUTPUT_BYTES, max(0, size - KEPT_OUTPUT_BYTES))
        lines = kept.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Free the file's memory."""
        os.close(self._file)


_servers: dict[tuple[tuple[str, str], ...], ForkServer] = {}
_lock = threading.Lock()


def fork_server(environment: Mapping[str, str]) -> ForkServer:
    """Return this process's server with these variables; it is started again when it has ended."""
    key = tuple(sorted(environment.items()))
    with _lock:
        server = _servers.get(key)
        if server is not None and not server.alive:
            server.close()
        if server is None or not server.alive:
            server = _servers[key] = ForkServer(environment)
        return server
