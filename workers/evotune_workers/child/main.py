"""The killable child: loads untrusted builds, launches and times them, and returns figures.

The fork server forks it. It may crash, hang or be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from evotune_workers.child.messages import (
    Answer,
    Broke,
    ChangeInputs,
    CheckStage,
    Load,
    OpenBaselines,
    OpenCandidate,
    OpenStopwatch,
    Prepare,
    Refused,
    Reply,
    Request,
    RestoreInputs,
    ReviewUnseen,
    RunBlocks,
    RunGate,
    Start,
    TakeTurn,
    WarmUp,
)
from evotune_workers.child.reference_client import RemoteReferences
from evotune_workers.child.reference_service import Clients, ReferenceService
from evotune_workers.diagnosis.stage_check import check_stage
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel.contract import Kernel
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.references import References, ReferenceSource
from evotune_workers.runtimes.runtime import LaunchError, LoadError, Runtime
from evotune_workers.runtimes.select import make_runtime, stopwatch_maker
from evotune_workers.runtimes.turns.team import end_team
from evotune_workers.runtimes.turns.turns import CandidateTurns, TimedInputs
from evotune_workers.timing.stopwatch import Stopwatch

STICKY_ERROR_EXIT = 70


class Child:
    """The state between requests: one kernel, the loaded builds and the stopwatch."""

    def __init__(self, start: Start, kernel: Kernel, runtime: Runtime) -> None:
        """Take the kernel's Python and the prepared device."""
        self.runtime, self._kernel, self._target = runtime, kernel, start.target
        self._references: ReferenceSource = (
            RemoteReferences(start.asks) if start.asks is not None else References(kernel, start.target, runtime)
        )
        self._builds: dict[str, LoadedBuild] = {}
        self._make_stopwatch = stopwatch_maker(start.target)
        self._stopwatch: Stopwatch | None = None
        self._turns: CandidateTurns | None = None

    def serve(self, request: Request) -> Any:
        """Return the answer to a request."""
        match request:
            case Load(specs):
                self._unload()
                for side, spec in specs.items():
                    self._builds[side] = LoadedBuild(self._kernel, self.runtime, self._references, spec)
                return None
            case WarmUp(workloads, seeds):
                assert isinstance(self._references, References)
                self._references.warm_up([named_workload(self._kernel, name) for name in workloads], seeds)
                return None
            case Prepare(side):
                return self._builds[side].prepare()
            case RunGate(gate, side):
                return tuple(_gate(gate).measure(self._builds[side]))
            case CheckStage(side, stage, wrong, criteria):
                return check_stage(self._builds[side], stage, wrong, criteria)
            case OpenStopwatch(mode, distribution, cache_bytes):
                workload = next(iter(self._builds.values())).workload
                baselines = self._kernel.baselines(workload, self._target)
                assert self._make_stopwatch is not None
                self._stopwatch = self._make_stopwatch(self._builds, baselines, mode, distribution, cache_bytes)
                return self._stopwatch.setup()
            case RunBlocks(count, sides):
                assert self._stopwatch is not None
                return self._stopwatch.blocks(count, sides)
            case ReviewUnseen():
                timed = self._stopwatch or self._turns
                assert timed is not None
                return timed.unseen_errors()
            case OpenCandidate(side, inputs):
                self._turns = self._open_turns(side, inputs)
                return self._turns.opened()
            case TakeTurn(side, calls):
                assert self._turns is not None
                return self._turns.take(side, calls)
        raise ValueError(f"a child that loads builds must be asked for something of them, got {request}")

    def _open_turns(self, side: str, inputs: TimedInputs) -> CandidateTurns:
        build = self._builds[side]
        references = [build.reference(build.workload, inputs.distribution, seed) for seed in inputs.seeds]
        return CandidateTurns(
            side, build, build.buffer_sets(inputs.distribution, inputs.seeds, inputs.least_bytes), references
        )

    def _unload(self) -> None:
        self._stopwatch, self._turns = None, None
        for build in self._builds.values():
            build.close()
        self._builds = {}


class ReferenceChild:
    """A child that no build is ever loaded into; see `ReferenceService`."""

    def __init__(self, start: Start, kernel: Kernel, runtime: Runtime) -> None:
        """Take the kernel's Python and the prepared device."""
        self.runtime, self._kernel = runtime, kernel
        self.service = ReferenceService(kernel, start.target, runtime)

    def serve(self, request: Request) -> Any:
        """Return the answer to a request; the threads that it took have ended."""
        try:
            return self._serve(request)
        finally:
            end_team()  # a candidate needs the cores next

    def _serve(self, request: Request) -> Any:
        match request:
            case WarmUp(workloads, seeds):
                return self.service.warm_up([named_workload(self._kernel, name) for name in workloads], seeds)
            case OpenBaselines(inputs):
                return self.service.open(inputs)
            case TakeTurn(side, calls):
                return self.service.take(side, calls)
            case ChangeInputs(sets):
                return self.service.change(sets)
            case RestoreInputs():
                return self.service.restore()
        raise ValueError(f"the child of the references must be asked for what they are for, got {request}")


def main(socket: int, lifeline: int) -> None:
    """Serve requests until the parent ends; both are descriptors, of which the parent has the other ends."""
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    connection = Connection(socket)
    try:
        start: Start = connection.recv()
    except EOFError:
        return None
    os.environ.clear()
    os.environ.update(start.environment)
    runtime = make_runtime(start.target)
    kernel = load_kernel(start.kernel_folder)
    if start.serves is None:
        return _serve(connection, Child(start, kernel, runtime))
    child, clients = ReferenceChild(start, kernel, runtime), Clients(start.serves)
    return _serve(connection, child, lambda: clients.serve_until(connection, child.service))


def _serve(connection: Connection, child: Child | ReferenceChild, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Answer the parent's requests; before each, `meanwhile` returns when there is one."""
    connection.send(Answer(child.runtime.conditions))
    while True:
        meanwhile()
        try:
            request = connection.recv()
        except EOFError:
            return
        connection.send(_reply(child, request))


def _reply(child: Child | ReferenceChild, request: Request) -> Reply:
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


def _end_if_broken(child: Child | ReferenceChild) -> None:
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
