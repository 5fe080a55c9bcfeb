"""The killable child: loads untrusted builds, launches and times them, and returns figures.

The fork server forks it. It may crash, hang or be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from itertools import product
from multiprocessing.connection import Connection
from typing import Any

import torch

from evotune_workers.child.messages import (
    Answer,
    Broke,
    CheckStage,
    Load,
    OpenStopwatch,
    Prepare,
    Refused,
    Reply,
    Request,
    ReviewUnseen,
    RunBlocks,
    RunGate,
    Start,
    WarmUp,
)
from evotune_workers.diagnosis.stage_check import check_stage
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel.contract import Workload
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.references import References
from evotune_workers.runtimes.runtime import LaunchError, LoadError
from evotune_workers.runtimes.select import make_runtime, stopwatch_maker
from evotune_workers.timing.stopwatch import Stopwatch

STICKY_ERROR_EXIT = 70


class Child:
    """The state between requests: one kernel, the loaded builds and the stopwatch."""

    def __init__(self, start: Start) -> None:
        """Load the kernel's Python and prepare the device."""
        self.runtime = make_runtime(start.target)
        self._kernel = load_kernel(start.kernel_folder)
        self._target = start.target
        self._references = References(self._kernel, start.target, self.runtime)
        self._builds: dict[str, LoadedBuild] = {}
        self._make_stopwatch = stopwatch_maker(start.target)
        self._stopwatch: Stopwatch | None = None

    def serve(self, request: Request) -> Any:
        """Return the answer to a request."""
        match request:
            case Load(specs):
                self._unload()
                for side, spec in specs.items():
                    self._builds[side] = LoadedBuild(self._kernel, self.runtime, self._references, spec)
                return None
            case WarmUp(workloads, seeds):
                self._warm_up([named_workload(self._kernel, name) for name in workloads], seeds)
                return None
            case Prepare(side):
                return self._builds[side].prepare()
            case RunGate(gate, side):
                return tuple(_gate(gate).measure(self._builds[side]))
            case CheckStage(side, stage, wrong, criteria):
                return check_stage(self._builds[side], stage, wrong, criteria)
            case OpenStopwatch(mode, cache_bytes):
                workload = next(iter(self._builds.values())).workload
                baselines = self._kernel.baselines(workload, self._target)
                self._stopwatch = self._make_stopwatch(self._builds, baselines, mode, cache_bytes)
                return self._stopwatch.setup()
            case RunBlocks(count, sides):
                assert self._stopwatch is not None
                return self._stopwatch.blocks(count, sides)
            case ReviewUnseen():
                assert self._stopwatch is not None
                return self._stopwatch.unseen_errors()
            case Start():
                raise ValueError("a child is started once")

    def _warm_up(self, workloads: Sequence[Workload], seeds: Sequence[int]) -> None:
        for workload in workloads:
            self._references.structure(workload)
            for distribution, seed in product(self._kernel.distributions, seeds):
                reference = self._references.reference(workload, distribution, seed)
            for baseline in self._kernel.baselines(workload, self._target):
                baseline.run(reference.inputs)

    def _unload(self) -> None:
        self._stopwatch = None
        for build in self._builds.values():
            build.close()
        self._builds = {}


def main(socket: int, lifeline: int) -> None:
    """Serve requests until the parent ends; both are descriptors, of which the parent has the other ends."""
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    connection = Connection(socket)
    try:
        start: Start = connection.recv()
    except EOFError:
        return
    os.environ.clear()
    os.environ.update(start.environment)
    child = Child(start)
    connection.send(Answer(child.runtime.conditions))
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        connection.send(_reply(child, request))


def _reply(child: Child, request: Request) -> Reply:
    try:
        answer = Answer(child.serve(request))
        child.runtime.synchronise()
        return answer
    except Exception as error:
        _end_if_broken(child)
        if isinstance(error, LaunchError | MemoryError | torch.OutOfMemoryError):
            return Refused(f"{type(error).__name__}: {error}")
        if isinstance(error, LoadError):
            return Refused(f"the build must load: {error}")
        return Broke(traceback.format_exc())


def _end_if_broken(child: Child) -> None:
    """End this process after a sticky error of the device, which falsifies all that follows."""
    reason = child.runtime.broken()
    if reason is not None:
        print(reason, file=sys.stderr, flush=True)
        os._exit(STICKY_ERROR_EXIT)


def _gate(name: str) -> Any:
    return next(gate for gate in RUNNING_GATES if gate.name == name)


def _die_with_parent(lifeline: int) -> None:
    """End this process with its parent, which has the pipe's other end: end of file means that it has ended."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)  # and every process that was started from here
