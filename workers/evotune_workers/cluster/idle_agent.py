"""In the place of an agent of Ray that nobody asks: says that it serves no port, and ends with the raylet.

Started by the raylet as `python -S idle_agent.py PORT_NAMES ...`, with the arguments of the agent behind. It imports
little: the agents import Ray and more, for 0.8 s of a core each at every start.
"""

import ctypes
import os
import signal
import sys

# prctl.h
PR_SET_PDEATHSIG = 1
NOT_SERVED = "-1"


def main() -> None:
    """Tell the raylet, which waits for them, of ports that are not served, then wait for its end."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    options = dict(each.removeprefix("--").partition("=")[::2] for each in sys.argv[2:] if each.startswith("--"))
    for name in sys.argv[1].split(","):
        path = f"{options['session-dir']}/{name}_{options['node-id']}"
        with open(f"{path}.new", "w") as file:  # noqa: PTH123
            file.write(NOT_SERVED)
        os.replace(f"{path}.new", path)  # noqa: PTH105
    while True:
        signal.pause()


main()
