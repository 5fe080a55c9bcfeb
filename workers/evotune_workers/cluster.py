"""Ray: build tasks on any node, one measuring actor per device."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .actors import CpuMeasuringActor, CudaMeasuringActor
from .builder import BuildJob, StageBuildJob, build_candidate, build_stages
from .device import Device
from .jobs import Candidate, ConfirmJob, DiagnoseJob, MeasureJob, StageBuild
from .kernel_folder import KernelPackage, unpack_kernel
from .quiet import building
from .scratch import run_folder
from .warden import warden

# Builds and results are small; Ray's default would take 30 % of the machine's memory.
OBJECT_STORE_BYTES = 256 << 20
CONNECT_SECONDS = 5.0
# Ray makes sockets 86 characters further down, and the path of a socket holds 107.
LONGEST_PLACE = 21
ACTOR_START_SECONDS = 120.0


class ClusterError(RuntimeError):
    """Ray cannot be started or joined; one line."""


@dataclass(frozen=True)
class Worker:
    """A measuring actor and the device that it owns."""

    name: str
    device: Device
    actor: Any


class Cluster:
    """A Ray cluster as a search uses it: futures in, results out."""

    def __init__(self, package: KernelPackage, address: str | None) -> None:
        """Joins the cluster at `address`, or starts a local one. Raises ClusterError."""
        self._connection = contextlib.ExitStack()
        self._connection.enter_context(_connected(address))
        self._kernel = package
        self._package = ray.put(package)

    @property
    def cores(self) -> int:
        """How many builds can run at once."""
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def workers(self, target: str) -> tuple[Worker, ...]:
        """A measuring actor for every device of that target: each live node's CPU, or each of its GPUs.

        Raises ClusterError when there is none, or when other work holds the GPUs.
        """
        nodes = [node for node in ray.nodes() if node["Alive"]]
        started = [each for node in nodes for each in self._start_on(node, target)]
        devices = self._within([actor.describe.remote() for _, actor in started], ACTOR_START_SECONDS)
        if devices is None:
            rule = f"a measuring worker must start within {ACTOR_START_SECONDS:.0f} s"
            raise ClusterError(f"{rule}: other work may hold the GPUs")
        names = _distinct([name for name, _ in started])
        found = [Worker(name, device, actor) for name, (_, actor), device in zip(names, started, devices, strict=True)]
        for worker in found:
            if worker.device.target != target:
                ray.kill(worker.actor)
        fitting = tuple(worker for worker in found if worker.device.target == target)
        if not fitting:
            others = ", ".join(sorted({worker.device.target for worker in found})) or "none with a GPU"
            raise ClusterError(f"a node must have a device for the target {target}, found {others}")
        return fitting

    def _start_on(self, node: dict[str, Any], target: str) -> list[tuple[str, Any]]:
        """Names and actors. The package goes by value: a restarted actor must not depend on an object that is gone."""
        host, where = node["NodeManagerHostname"], _on(node["NodeID"])
        if target == "cpu":
            return [(f"cpu of {host}", _CpuActor.options(**where).remote(self._kernel))]
        count = int(node["Resources"].get("GPU", 0))
        return [(f"gpu {place} of {host}", _CudaActor.options(**where).remote(self._kernel)) for place in range(count)]

    def restart(self, worker: Worker) -> None:
        """Gives the worker a fresh process; what it had in hand is lost."""
        ray.kill(worker.actor, no_restart=False)

    def dismiss(self, worker: Worker) -> None:
        """Ends the worker; its device is free for others."""
        ray.kill(worker.actor)

    def build(self, job: BuildJob) -> Any:
        """A future of a Candidate."""
        return _build.remote(self._package, job)

    def build_stages(self, job: StageBuildJob) -> Any:
        """A future of a tuple of StageBuild."""
        return _build_stages.remote(self._package, job)

    def describe(self, worker: Worker) -> Any:
        """A future of its Device, which comes when the worker has time for it."""
        return worker.actor.describe.remote()

    def diagnose(self, worker: Worker, job: DiagnoseJob) -> Any:
        """A future of a Diagnosis."""
        return worker.actor.diagnose.remote(job)

    def measure(self, worker: Worker, job: MeasureJob) -> Any:
        """A future of a Measurement."""
        return worker.actor.measure.remote(job)

    def confirm(self, worker: Worker, job: ConfirmJob) -> Any:
        """A future of a tuple of Measurement."""
        return worker.actor.confirm.remote(job)

    def results(self, futures: Sequence[Any], seconds: float) -> list[Any] | None:
        """What all the futures hold, or None when that takes longer. Raises ClusterError when a local Ray is gone."""
        if not futures:
            return []
        done, _ = ray.wait(list(futures), num_returns=len(futures), timeout=seconds)
        if len(done) < len(futures):
            self.require_alive()
            return None
        found: list[Any] = ray.get(list(futures))
        return found

    def _within(self, futures: Sequence[Any], seconds: float) -> list[Any] | None:
        """As `results`, finding out meanwhile when there is no Ray any more."""
        deadline = time.monotonic() + seconds
        found = None
        while found is None and time.monotonic() < deadline:
            found = self.results(futures, 1.0)
        return found

    def require_alive(self) -> None:
        """Raises ClusterError when a process of a local Ray has ended; Ray itself would wait on for minutes."""
        node = ray._private.worker._global_node
        dead = [kind for kind, _ in node.dead_processes()] if node is not None else ["everything"]
        if dead:
            raise ClusterError(f"a local Ray must stay up, of this one {', '.join(dead)} has ended")

    def close(self) -> None:
        """Leaves the cluster; a local one stops with everything on it and leaves no files."""
        self._connection.close()


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[None]:
    with contextlib.nullcontext() if address else _ray_folder() as folder:
        _connect(address, folder)
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _ray_folder() -> Iterator[Path]:
    """For all that a local Ray writes; at the end what still writes there is ended."""
    short = len(tempfile.gettempdir()) <= LONGEST_PLACE
    with run_folder(None if short else Path("/tmp")) as folder, warden(folder):
        yield folder


def _connect(address: str | None, folder: Path | None) -> None:
    # Ray warns, on every start, of a default that will change for nodes without GPUs.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray's workers run at nice 15 otherwise, and the child that measures with them: anything would preempt it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is not None:
            _check_reachable(address)
        if address is None:
            # RAY_ADDRESS must not turn "local" into "the cluster that this shell happens to know".
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        rule = f"a Ray cluster must answer at {address}" if address else "a local Ray must start"
        raise ClusterError(f"{rule}, got: {str(error).splitlines()[0]}") from error


def _check_reachable(address: str) -> None:
    """Raises OSError at once where nothing listens; Ray itself keeps trying for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def _distinct(names: Sequence[str]) -> list[str]:
    """With a number where several nodes share a host's name."""
    seen = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name} ({earlier + 1})" if earlier else name for name, earlier in zip(names, seen, strict=True)]


def _on(node: str) -> dict[str, Any]:
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _build_task(package: KernelPackage, job: BuildJob) -> Candidate:
    """On a CPU target builds and measurements take turns; a GPU is not disturbed by a compiler."""
    with _turn_to_build(job.target):
        return build_candidate(unpack_kernel(package), job)


def _build_stages_task(package: KernelPackage, job: StageBuildJob) -> tuple[StageBuild, ...]:
    with _turn_to_build(job.target):
        return build_stages(unpack_kernel(package), job)


def _turn_to_build(target: str) -> contextlib.AbstractContextManager[None]:
    return building() if target == "cpu" else contextlib.nullcontext()


# A CPU task holds one core; the actor holds none, since it shares the node with builds by the lock above.
_build = ray.remote(num_cpus=1, max_retries=2)(_build_task)
_build_stages = ray.remote(num_cpus=1, max_retries=2)(_build_stages_task)
_CpuActor = ray.remote(num_cpus=0, max_restarts=-1)(CpuMeasuringActor)
_CudaActor = ray.remote(num_cpus=0, num_gpus=1, max_restarts=-1)(CudaMeasuringActor)
