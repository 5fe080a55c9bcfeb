"""The killable child: loads untrusted builds, launches and times them, and returns figures.

Started by `Sandbox` as `python -m evotune_workers.child SOCKET PARENT`. It may crash, hang or be killed at any moment.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from .allocator import keep_freed_memory
from .bench import Bench
from .examples import Examples
from .gates import RUNNING_GATES
from .kernel_folder import load_kernel
from .messages import Answer, Broke, Load, OpenStopwatch, Refused, Reply, Request, RunBlocks, RunGate, Start
from .runtimes.cpu import LaunchError
from .runtimes.openmp import share_torch_runtime
from .stopwatch import Stopwatch


class Child:
    """The state between requests: one kernel, the loaded builds, the stopwatch."""

    def __init__(self, start: Start) -> None:
        """Loads the kernel's Python and makes torch's OpenMP runtime the one that builds bind to."""
        self.conditions = {"openmp": share_torch_runtime(), "freed_memory_kept": keep_freed_memory()}
        self._kernel = load_kernel(start.kernel_folder)
        self._target = start.target
        self._examples = Examples(self._kernel, start.target)
        self._benches: dict[str, Bench] = {}
        self._stopwatch: Stopwatch | None = None

    def serve(self, request: Request) -> Any:
        """The value that answers a request."""
        match request:
            case Load(specs):
                self._unload()
                for side, spec in specs.items():
                    self._benches[side] = Bench(self._kernel, self._examples, spec)
                return None
            case RunGate(gate, side):
                return tuple(_gate(gate).measure(self._benches[side]))
            case OpenStopwatch(mode, cache_bytes):
                workload = next(iter(self._benches.values())).workload
                baselines = self._kernel.baselines(workload, self._target)
                self._stopwatch = Stopwatch(self._benches, baselines, mode, cache_bytes)
                return self._stopwatch.facts()
            case RunBlocks(count, sides):
                assert self._stopwatch is not None
                return self._stopwatch.blocks(count, sides)
            case Start():
                raise ValueError("a child is started once")

    def _unload(self) -> None:
        self._stopwatch = None
        for bench in self._benches.values():
            bench.close()
        self._benches = {}


def main() -> None:
    """Serves requests until the parent goes away."""
    connection, parent = Connection(int(sys.argv[1])), int(sys.argv[2])
    threading.Thread(target=_die_with_parent, args=(parent,), daemon=True).start()
    start = connection.recv()
    child = Child(start)
    connection.send(Answer(child.conditions))
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        connection.send(_reply(child, request))


def _reply(child: Child, request: Request) -> Reply:
    try:
        return Answer(child.serve(request))
    except (LaunchError, MemoryError) as error:
        return Refused(f"{type(error).__name__}: {error}")
    except (OSError, AttributeError) as error:
        if isinstance(request, Load):
            return Refused(f"the build must load: {error}")
        return Broke(traceback.format_exc())
    except Exception:
        return Broke(traceback.format_exc())


def _gate(name: str) -> Any:
    return next(gate for gate in RUNNING_GATES if gate.name == name)


def _die_with_parent(lifeline: int) -> None:
    """The pipe's other end lives in the parent: end of file means that it is gone, however it went."""
    os.read(lifeline, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
