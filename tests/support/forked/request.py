"""Ask the server for a process; `python -S request.py ARGUMENTS` is `evotune` to a shell of the tests.

Imports the standard library alone, and little of it: a shell starts this for every command.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

# The number of the server's socket, which the shell's commands inherit.
SOCKET_VARIABLE = "EVOTUNE_TESTS_FORK_SERVER"


def ask(
    control: socket.socket,
    module: str,
    arguments: Sequence[str],
    folder: str,
    variables: Mapping[str, str],
    streams: Sequence[int],
    namespaces: Sequence[str] = (),
) -> int:
    """Ask for `python -m MODULE ARGUMENTS`; return a pipe with its process number, then its exit code."""
    reading, writing = os.pipe()
    request = {
        "module": module,
        "arguments": list(arguments),
        "folder": folder,
        "variables": dict(variables),
        "namespaces": list(namespaces),
    }
    try:
        socket.send_fds(control, [json.dumps(request).encode()], [*streams, writing])
    finally:
        os.close(writing)
    return reading


def main() -> int:
    """Run one command of evotune with this process's streams; return its exit code, as a shell has it."""
    control = socket.socket(fileno=int(os.environ[SOCKET_VARIABLE]))
    pipe = os.fdopen(ask(control, "evotune", sys.argv[1:], os.getcwd(), os.environ, (0, 1, 2)))  # noqa: PTH109 - pathlib is slow to import
    process = int(pipe.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: os.kill(process, received))
    code = int(pipe.readline())
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
