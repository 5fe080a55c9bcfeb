"""The process that forks: it has imported all that commands import, and starts no thread.

Started by process.py as `python -m tests.support.forked.server SOCKET MODULE...`. It ends when the tests' process does.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

# Larger than any request.
REQUEST_BYTES = 1 << 20


class Server:
    """Forks until its socket is closed."""

    def __init__(self, control: socket.socket) -> None:
        """Take the socket on which requests come."""
        self._control = control
        # The pipe of each process that runs.
        self._running: dict[int, int] = {}
        self._wake, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any] | None:
        """Return a request in the process that is forked for it, and None in this one when it is to end."""
        control = self._control.fileno()
        while True:
            ready, _, _ = select.select([control, self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._report_ended()
            if control in ready:
                request, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, 4)
                if not request:
                    self._end()
                    return None
                if self._fork(descriptors):
                    found: dict[str, Any] = json.loads(request)
                    return found

    def _fork(self, descriptors: list[int]) -> bool:
        """Return True in the new process, which has a session and the streams of its own."""
        process = os.fork()
        *streams, pipe = descriptors
        if process == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for own in (*descriptors, *self._running.values(), self._control.detach(), self._wake, self._wake_write):
                os.close(own)
            return True
        self._running[process] = pipe
        _tell(pipe, process)
        for stream in streams:
            os.close(stream)
        return False

    def _report_ended(self) -> None:
        for process in list(self._running):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                pipe = self._running.pop(process)
                _tell(pipe, os.waitstatus_to_exitcode(status))
                os.close(pipe)

    def _end(self) -> None:
        for process in self._running:
            os.kill(process, signal.SIGKILL)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, b"%d\n" % number)


def _become(request: dict[str, Any]) -> None:
    """Run the module as Python runs one with `-m`, in the folder and with the variables of whoever asked."""
    for path in request["namespaces"]:
        _enter(path)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    tempfile.tempdir = None  # chosen by TMPDIR
    if "ray" in sys.modules:
        # Ray read RAY_AUTH_MODE when it was imported; its own `init` sets that variable for good in a process of tests.
        importlib.import_module("ray._raylet").Config.initialize("")
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _enter(path: str) -> None:
    """Enter a namespace; Python 3.12 has os.setns."""
    with Path(path).open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns {path}")


def main() -> None:
    """Import, then serve; what is forked goes on to the end of this module, and ends as Python ends."""
    _, control, *imported = sys.argv
    # There is no garbage to collect meanwhile; looking for it takes half a second.
    gc.disable()
    for name in imported:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process that forks must have one thread"
    gc.freeze()
    gc.enable()
    request = Server(socket.socket(fileno=int(control))).serve()
    if request is not None:
        _become(request)


if __name__ == "__main__":
    main()
