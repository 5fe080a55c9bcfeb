"""The Ray cluster of a search: build tasks on any node, and one NodeWorker for each device."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import uuid
from collections.abc import Sequence
from typing import Any

import ray

from evotune_workers.cluster import build_task
from evotune_workers.cluster.admission import Model
from evotune_workers.cluster.connection import ClusterError, connected
from evotune_workers.cluster.gpu_sharing import GpuShare
from evotune_workers.cluster.head import Head
from evotune_workers.cluster.nodes import Nodes
from evotune_workers.cluster.slots import Worker
from evotune_workers.cluster.unpack import unpack_kernel
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.builder import BuildJob, StageBuildJob, recipe_of, stage_recipe_of
from evotune_workers.kernel.folder import KernelPackage, load_kernel
from evotune_workers.kernel.targets import CPU
from evotune_workers.measuring.jobs import Job

__all__ = ["Cluster", "ClusterError", "Worker"]


class Cluster:
    """A Ray cluster that a search has joined or started; every request returns a future."""

    def __init__(self, package: KernelPackage, address: str | None) -> None:
        """Join the cluster at `address`, or start a local one; raises ClusterError."""
        self._connection = contextlib.ExitStack()
        self._connection.enter_context(connected(address))
        self._joined = address is not None
        self._head = Head(ray.get_runtime_context().gcs_address) if self._joined else None
        self._kernel = load_kernel(unpack_kernel(package))
        self._package = pickle.dumps(package)
        self._shipped = ray.put(self._package)
        self._nodes = Nodes(grows=self._joined)
        self._cannot_build: set[str] = set()
        if not self._joined:
            for _ in range(self.cores):
                _prepare.remote(self._shipped)

    @property
    def cores(self) -> int:
        """Number of builds that can run at once."""
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def worker_pool(self, target: str, gpus: int | None, model: Model | None = None) -> WorkerPool:
        """Return the workers for a target: each node's CPU, or `gpus` GPUs, None for all that the cluster has.

        `model`: the device of earlier trials, which every worker must have. Raises ClusterError when there is nothing
        to measure on.
        """
        there = self._nodes.gpus(target)
        if not self._joined and gpus is not None and gpus > there:
            raise ClusterError(f"the GPUs asked for must be on this machine, which has {there}, got {gpus}")
        pool = WorkerPool(self._package, target, self._nodes, gpus, self._share(target), model)
        if self._joined:
            self._connection.callback(pool.close)
        return pool

    def build(self, job: BuildJob | StageBuildJob) -> Any:
        """Build on any node, and return a future of a Candidate, or of a tuple of StageBuild for a StageBuildJob.

        A future of UnusableNode instead means that another node has to be asked, by `exclude_builder`.
        """
        kernel = self._kernel
        recipe = stage_recipe_of(kernel, job) if isinstance(job, StageBuildJob) else recipe_of(kernel, job)
        where = self._nodes.elsewhere(self._cannot_build)
        task = _build.options(**where) if where else _build
        return task.remote(self._shipped, pickle.dumps(recipe))

    def exclude_builder(self, unusable: UnusableNode) -> bool:
        """Build on this node no more; return True when the node was not known to be unusable.

        Raises ToolchainError when no node is left that can build.
        """
        first_time = unusable.node not in self._cannot_build
        self._cannot_build.add(unusable.node)
        if not self._nodes.others_than(self._cannot_build):
            raise ToolchainError(unusable.reason)
        return first_time

    def submit(self, worker: Worker, job: Job[Any]) -> Any:
        """Queue a job for a worker, which runs one after the other, and return a future of the job's result."""
        return worker.actor.run.remote(job)

    def results(self, futures: Sequence[Any], seconds: float) -> list[Any] | None:
        """Return the results of all futures, or None when that takes longer; raises as `require_alive`."""
        if not futures:
            return []
        done, _ = ray.wait(list(futures), num_returns=len(futures), timeout=seconds)
        if len(done) < len(futures):
            self.require_alive()
            return None
        found: list[Any] = ray.get(list(futures))
        return found

    def in_touch(self) -> bool:
        """Return True when the cluster's head can be called now; raises ClusterError when it is lost."""
        return self._head is None or self._head.in_touch()

    def require_alive(self) -> None:
        """Raise ClusterError when a process of a local Ray has ended, or a joined cluster's head is lost.

        Ray itself would go on waiting for minutes.
        """
        node = ray._private.worker._global_node
        dead = [kind for kind, _ in node.dead_processes()] if node is not None else ["everything"]
        if dead:
            raise ClusterError(f"a local Ray must stay up, of this one {', '.join(dead)} has ended")
        self.in_touch()

    def close(self) -> None:
        """Leave the cluster; a local one stops with everything on it and leaves no files."""
        self._connection.close()

    def _share(self, target: str) -> GpuShare | None:
        """Return a share of the GPUs that other searches use, too; a CPU's searches take turns by the machine lock."""
        if not self._joined or target == CPU:
            return None
        return GpuShare(target, f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}")


# A build holds one core. A NodeWorker holds none: on a CPU target it shares the node with builds by the machine lock.
_prepare = ray.remote(num_cpus=1)(build_task.prepare)
_build = ray.remote(num_cpus=1, max_retries=2)(build_task.build)
