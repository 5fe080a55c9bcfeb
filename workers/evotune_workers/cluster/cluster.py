"""Ray as a search uses it: build tasks on any node, one measuring actor per device."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import uuid
from collections.abc import Sequence
from typing import Any

import ray

from evotune_workers.cluster import node_worker
from evotune_workers.cluster.connection import ClusterError, connected
from evotune_workers.cluster.gpu_sharing import Share
from evotune_workers.cluster.head import Head
from evotune_workers.cluster.node_worker import Unfit
from evotune_workers.cluster.nodes import Nodes
from evotune_workers.cluster.slots import Worker
from evotune_workers.cluster.unpack import unpack_kernel
from evotune_workers.cluster.worker_pool import Model, Roster
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.builder import BuildJob, Recipe, StageBuildJob, StageRecipe, recipe_of, stage_recipe_of
from evotune_workers.kernel.folder import KernelPackage, load_kernel
from evotune_workers.kernel.targets import CPU
from evotune_workers.measuring.jobs import ConfirmJob, DiagnoseJob, MeasureJob, WarmUpJob

__all__ = ["Cluster", "ClusterError", "Worker"]


class Cluster:
    """A Ray cluster as a search uses it: futures in, results out."""

    def __init__(self, package: KernelPackage, address: str | None) -> None:
        """Joins the cluster at `address`, or starts a local one. Raises ClusterError."""
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
                _get_ready.remote(self._shipped)

    @property
    def cores(self) -> int:
        """How many builds can run at once."""
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def roster(self, target: str, gpus: int | None, model: Model | None = None) -> Roster:
        """Who measures for that target: each live node's CPU, or GPUs, so many or all that the cluster has.

        All of that model, where earlier trials were measured on one.
        Raises ClusterError when there is nothing to measure on.
        """
        share = Share(target, f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}") if self._shared(target) else None
        there = self._nodes.gpus(target)
        if not self._joined and gpus is not None and gpus > there:
            raise ClusterError(f"the GPUs asked for must be on this machine, which has {there}, got {gpus}")
        roster = Roster(self._package, target, self._nodes, gpus, share, model)
        if self._joined:
            self._connection.callback(roster.close)
        return roster

    def build(self, job: BuildJob) -> Any:
        """A future of a Candidate, or of Unfit: then another node has to be asked, by `asked_elsewhere`."""
        return self._build_on(_build, recipe_of(self._kernel, job))

    def build_stages(self, job: StageBuildJob) -> Any:
        """A future of a tuple of StageBuild, or of Unfit, as `build`."""
        return self._build_on(_build_stages, stage_recipe_of(self._kernel, job))

    def asked_elsewhere(self, unfit: Unfit) -> bool:
        """Whether this is news of the node, which builds nothing from now on.

        Raises ToolchainError when no node is left that can build.
        """
        news = unfit.node not in self._cannot_build
        self._cannot_build.add(unfit.node)
        if not self._nodes.others_than(self._cannot_build):
            raise ToolchainError(unfit.reason)
        return news

    def diagnose(self, worker: Worker, job: DiagnoseJob) -> Any:
        """A future of a Diagnosis."""
        return worker.actor.diagnose.remote(job)

    def warm_up(self, worker: Worker, job: WarmUpJob) -> None:
        """Its next job waits for this, nobody else."""
        worker.actor.warm_up.remote(job)

    def measure(self, worker: Worker, job: MeasureJob) -> Any:
        """A future of a Measurement."""
        return worker.actor.measure.remote(job)

    def confirm(self, worker: Worker, job: ConfirmJob) -> Any:
        """A future of a tuple of Measurement."""
        return worker.actor.confirm.remote(job)

    def results(self, futures: Sequence[Any], seconds: float) -> list[Any] | None:
        """What all the futures hold, or None when that takes longer. Raises as `require_alive`."""
        if not futures:
            return []
        done, _ = ray.wait(list(futures), num_returns=len(futures), timeout=seconds)
        if len(done) < len(futures):
            self.require_alive()
            return None
        found: list[Any] = ray.get(list(futures))
        return found

    def in_touch(self) -> bool:
        """Whether calls that need the cluster's head can be made now. Raises ClusterError when it is lost."""
        return self._head is None or self._head.in_touch()

    def require_alive(self) -> None:
        """Raises ClusterError when a process of a local Ray has ended, or a joined cluster's head is lost.

        Ray itself would wait on for minutes.
        """
        node = ray._private.worker._global_node
        dead = [kind for kind, _ in node.dead_processes()] if node is not None else ["everything"]
        if dead:
            raise ClusterError(f"a local Ray must stay up, of this one {', '.join(dead)} has ended")
        self.in_touch()

    def close(self) -> None:
        """Leaves the cluster; a local one stops with everything on it and leaves no files."""
        self._connection.close()

    def _shared(self, target: str) -> bool:
        """A CPU's searches take turns by a lock on each node."""
        return self._joined and target != CPU

    def _build_on(self, task: Any, recipe: Recipe | StageRecipe) -> Any:
        where = self._nodes.elsewhere(self._cannot_build)
        return (task.options(**where) if where else task).remote(self._shipped, pickle.dumps(recipe))


# A build holds one core; measuring actors hold none, since on a CPU target they share the node with builds by a lock.
_get_ready = ray.remote(num_cpus=1)(node_worker.get_ready)
_build = ray.remote(num_cpus=1, max_retries=2)(node_worker.build)
_build_stages = ray.remote(num_cpus=1, max_retries=2)(node_worker.build_stages)
