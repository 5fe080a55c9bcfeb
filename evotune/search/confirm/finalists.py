"""Choice of the worker that confirms the finalists of a search, and of the place where it does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ray.exceptions import RayActorError, RayError

from evotune.errors import last_line
from evotune.search.confirm.confirmation import Confirmation
from evotune.search.context import SearchContext
from evotune_workers.cluster.cluster import Cluster, ClusterError, Worker
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.compilers.build import ToolchainError

if TYPE_CHECKING:
    from evotune_workers.cluster.local import LocalMachine

# A worker that is lost meanwhile is replaced, this many times in all.
ATTEMPTS = 3
WAIT_SECONDS = 0.5


def confirm_best(context: SearchContext, pool: WorkerPool, *, local: bool) -> None:
    """Confirm the best trials. In a `local` search a CPU does so when Ray has gone.

    The search has its result already: an error here costs the confirmation, not the summary.
    """
    worker = None
    for attempt in range(1, ATTEMPTS + 1):
        try:
            worker = _choose_worker(context, pool)
            if worker is None:
                return
            with _lab(context, worker, local) as lab:
                # A search that does not ask for its GPUs for long counts as ended.
                look = pool.look if isinstance(lab, Cluster) else None
                Confirmation(context, lab, worker, look).run()
            return
        except (RayError, ClusterError, ToolchainError) as error:
            if worker is None or not isinstance(error, RayActorError) or attempt == ATTEMPTS:
                context.reporter.note(f"the best could not be confirmed: {last_line(error)}")
                return
            pool.lost(worker)


def _choose_worker(context: SearchContext, pool: WorkerPool) -> Worker | None:
    """Keep one worker and end the others; return None when the search is interrupted before there is one."""
    while not pool.workers:
        if context.interrupt.pressed:
            return None
        pool.wait(WAIT_SECONDS)
    worker = pool.workers[0]
    pool.keep_only(worker)
    return worker


@contextlib.contextmanager
def _lab(context: SearchContext, worker: Worker, local: bool) -> Iterator[Cluster | LocalMachine]:
    """Yield the cluster, or this machine without Ray."""
    if not local or worker.device.kind != "cpu":
        yield context.cluster
        return
    context.cluster.close()
    # Imports torch, which a search needs for nothing else.
    from evotune_workers.cluster.local import LocalMachine

    machine = LocalMachine(context.plan.package, worker.device)
    try:
        yield machine
    finally:
        machine.close()
