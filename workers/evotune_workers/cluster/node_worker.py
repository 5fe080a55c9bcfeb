"""What runs on a node of a cluster: the body of a build task, and the actor that measures.

A node may lack a package or a compiler. So this module imports only what every node with Ray has, jobs come pickled,
and what a node lacks is an answer (Unfit), not an exception: the cluster then asks another.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import socket
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ray

from evotune_workers.cluster.node_versions import node_versions
from evotune_workers.kernel.device import Device

Made = TypeVar("Made")

if TYPE_CHECKING:
    from evotune_workers.cluster.actors import CpuMeasuringActor, CudaMeasuringActor
    from evotune_workers.compilers.candidate import Candidate, StageBuild
    from evotune_workers.diagnosis.finding import Diagnosis
    from evotune_workers.measuring.jobs import Measurement


@dataclass(frozen=True)
class Unfit:
    """A node that cannot do what it was asked for, whatever the configuration."""

    node: str
    host: str
    reason: str


@dataclass(frozen=True)
class Post:
    """Where a measuring actor stands: its node, and its device with what results on it depend on.

    `place` tells a node's GPUs apart, `instance` one process of the actor from the next.
    """

    node: str
    host: str
    place: str
    instance: str
    device: Device
    versions: Mapping[str, str]


def get_ready(package: bytes) -> None:
    """What the first build of this process would have to do before it compiles; a node that cannot says so there."""
    with contextlib.suppress(ImportError):
        importlib.import_module("evotune_workers.compilers.builder")
        from evotune_workers.cluster.unpack import unpack_kernel

        unpack_kernel(pickle.loads(package))


def build(package: bytes, recipe: bytes) -> Candidate | Unfit:
    """Compiles a pickled Recipe of a pickled KernelPackage."""
    try:
        from evotune_workers.compilers import builder

        return _compile(builder.make, package, recipe)
    except ImportError as error:
        return _unfit(error)


def build_stages(package: bytes, recipe: bytes) -> tuple[StageBuild, ...] | Unfit:
    """Compiles a pickled StageRecipe of a pickled KernelPackage."""
    try:
        from evotune_workers.compilers import builder

        return _compile(builder.make_stages, package, recipe)
    except ImportError as error:
        return _unfit(error)


class Outpost:
    """A node's measuring actor: that of its CPU, or of the GPU that Ray gave it."""

    def __init__(self, cuda: bool, package: bytes) -> None:
        """Of a pickled KernelPackage. Raises nothing that a node is at fault for: `describe` tells."""
        self._unfit: Unfit | None = None
        self._instance = str(uuid.uuid4())
        try:
            self._actor = _measuring_actor(cuda, package)
        except (ImportError, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            self._unfit = _unfit(error)

    def describe(self) -> Post | Unfit:
        """Where it stands."""
        if self._unfit is not None:
            return self._unfit
        node, host = _whereabouts()
        place = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return Post(node, host, place, self._instance, self._actor.describe(), node_versions())

    def warm_up(self, job: Any) -> None:
        """See Measurer."""
        self._actor.warm_up(job)

    def measure(self, job: Any) -> Measurement:
        """See Measurer."""
        return self._actor.measure(job)

    def diagnose(self, job: Any) -> Diagnosis:
        """See Measurer."""
        return self._actor.diagnose(job)

    def confirm(self, job: Any) -> tuple[Measurement, ...]:
        """See Measurer."""
        return self._actor.confirm(job)


def _compile(made_of: Callable[[Path, Any], Made], package: bytes, recipe: bytes) -> Made | Unfit:
    """On a CPU target builds and measurements take turns; a GPU is not disturbed by a compiler."""
    from evotune_workers.cluster.unpack import unpack_kernel
    from evotune_workers.compilers.build import ToolchainError
    from evotune_workers.kernel.targets import CPU
    from evotune_workers.system.machine_lock import building

    wanted = pickle.loads(recipe)
    with building() if wanted.target == CPU else contextlib.nullcontext():
        try:
            return made_of(unpack_kernel(pickle.loads(package)), wanted)
        except ToolchainError as error:
            return _unfit(error)


def _measuring_actor(cuda: bool, package: bytes) -> CpuMeasuringActor | CudaMeasuringActor:
    from evotune_workers.cluster.actors import CpuMeasuringActor, CudaMeasuringActor

    return (CudaMeasuringActor if cuda else CpuMeasuringActor)(pickle.loads(package))


def _unfit(error: Exception) -> Unfit:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return Unfit(*_whereabouts(), lines[-1])


def _whereabouts() -> tuple[str, str]:
    return ray.get_runtime_context().get_node_id(), socket.gethostname()
