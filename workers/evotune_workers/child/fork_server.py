"""The fork server: a process that has imported torch, and forks a child for each request.

Importing torch takes 2 to 3 s of a core, a fork 10 ms. The server runs no kernel and starts no thread, so that every
child begins in the state of a process that has just imported torch. It ends when the process that started it ends.

Started by `ForkServer` (forking.py) as `python -m evotune_workers.child.fork_server SOCKET`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import traceback

from evotune_workers.child import main as child

# Larger than any request.
REQUEST_BYTES = 64
# prctl.h: PR_SET_NAME, and the name by which `ps` shows a child.
_SET_NAME, CHILD_NAME = 15, b"evotune-child"


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        # The pipe of each child that runs, by process number; its process number and its status are written there.
        self._running: dict[int, int] = {}
        self._wake, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve until the other end of the socket is closed."""
        control = self._control.fileno()
        while True:
            ready, _, _ = select.select([control, self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._report_ended()
            if control in ready:
                request, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, 4)
                if not request:
                    return
                if descriptors:
                    self._fork(*descriptors)
                else:
                    self._kill(int(request))

    def _fork(self, connection: int, lifeline: int, output: int, status: int) -> None:
        process = os.fork()
        if process == 0:
            self._run_child(connection, lifeline, output, status)
        for descriptor in (connection, lifeline, output):
            os.close(descriptor)
        self._running[process] = status
        _tell(status, process)

    def _run_child(self, connection: int, lifeline: int, output: int, status: int) -> None:
        """Become a child: it has nothing of the server's but its memory, and never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            ctypes.CDLL(None).prctl(_SET_NAME, CHILD_NAME)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for descriptor in (output, status, self._control.detach(), *self._running.values()):
                os.close(descriptor)
            child.main(connection, lifeline)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _kill(self, process: int) -> None:
        if process in self._running:
            os.killpg(process, signal.SIGKILL)

    def _report_ended(self) -> None:
        """End the process groups of children that have ended, and report how these ended."""
        for process in list(self._running):
            if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process, signal.SIGKILL)  # before the number can be another process's
            _, status = os.waitpid(process, 0)
            pipe = self._running.pop(process)
            _tell(pipe, os.waitstatus_to_exitcode(status))
            os.close(pipe)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, b"%d\n" % number)


if __name__ == "__main__":
    _Server(socket.socket(fileno=int(sys.argv[1]))).serve()
