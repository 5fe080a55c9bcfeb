"""The Ray actor that owns a device: the CPU of its node, or the GPU that Ray gave it.

A node may lack a package or a compiler. So this module imports only what every node with Ray has, the kernel comes
pickled, and a worker that cannot serve says so in its description.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evotune_workers.cluster.node_versions import node_versions
from evotune_workers.cluster.unusable_node import UnusableNode, node_and_host, this_node_lacks
from evotune_workers.kernel.device import Device, cpu_device, local_devices
from evotune_workers.system.library_folders import check_library_folders

if TYPE_CHECKING:
    from evotune_workers.measuring.jobs import Job, Result
    from evotune_workers.measuring.measurer import Measurer


@dataclass(frozen=True)
class WorkerDescription:
    """A worker's node and device, with the versions that results depend on.

    `place` tells a node's GPUs apart, `instance` one process of the actor from the next.
    """

    node: str
    host: str
    place: str
    instance: str
    device: Device
    versions: Mapping[str, str]


class NodeWorker:
    """Runs jobs on one device, one at a time. A GPU is touched by the measurer's child only, never by this process."""

    def __init__(self, cuda: bool, package: bytes) -> None:
        """Serve a pickled KernelPackage. `describe` tells when the node cannot."""
        self._unusable: UnusableNode | None = None
        self._instance = str(uuid.uuid4())
        try:
            self._measurer = _measurer(cuda, package)
        except (ImportError, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            self._unusable = this_node_lacks(error)

    def describe(self) -> WorkerDescription | UnusableNode:
        """Return the node, the device and the versions."""
        if self._unusable is not None:
            return self._unusable
        node, host = node_and_host()
        place = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return WorkerDescription(node, host, place, self._instance, self._measurer.device, node_versions())

    def run(self, job: Job[Result]) -> Result:
        """Run a job; see Measurer.run."""
        return self._measurer.run(job)


def _measurer(cuda: bool, package: bytes) -> Measurer:
    """Start a GPU's child before this process imports torch, which takes both of them seconds.

    Raises RuntimeError where the device cannot be used or no library can be loaded.
    """
    from evotune_workers.child.sandbox import sandboxes_for
    from evotune_workers.cluster.unpack import unpack_kernel

    check_library_folders()
    device = _gpu() if cuda else _cpu()
    folder = unpack_kernel(pickle.loads(package))
    sandboxes = sandboxes_for(folder, device)
    from evotune_workers.measuring.measurer import Measurer

    return Measurer(folder, device, sandboxes)


def _gpu() -> Device:
    """Return the GPU that Ray gave this actor; raises RuntimeError where it cannot be used."""
    devices = local_devices()
    if not devices:
        raise RuntimeError("its GPU must be usable with cuda-core and nvidia-ml-py, it is not: pip install them")
    return devices[0]


def _cpu() -> Device:
    """Return the node's CPU; raises ToolchainError without the compiler that timing needs."""
    from evotune_workers.compilers.cpp import compiler_version

    compiler_version()
    return cpu_device()
