"""Wait for the workers of a search before its first trial."""

from __future__ import annotations

import time

from ray.exceptions import RayError

from evotune.errors import UserError, last_line
from evotune.planning.plan import Plan
from evotune.search.interrupt import Interrupt
from evotune.search.reporter import Reporter
from evotune_db.records import DeviceRecord
from evotune_workers.cluster.cluster import Cluster, ClusterError
from evotune_workers.cluster.worker_pool import WorkerPool

# Time to wait for others after the first worker; later ones join the running search.
OTHERS_SECONDS = 15.0
# Time without any worker after which the user is told what the search waits for.
TELL_SECONDS = 10.0
STEP_SECONDS = 0.5


def wait_for_workers(
    cluster: Cluster,
    plan: Plan,
    gpus: int | None,
    before: DeviceRecord | None,
    reporter: Reporter,
    interrupt: Interrupt,
) -> WorkerPool:
    """Return a worker pool with at least one worker, and all that come soon after.

    Figures of two devices do not compare: a resumed search needs the device model that it was measured on `before`.
    Raises UserError when there can be no worker.
    """
    model = None if before is None else (before.name, before.facts.get("limits", {}))
    try:
        pool = cluster.worker_pool(plan.target, gpus, model)
        _wait(pool, plan.target, reporter, interrupt)
    except ClusterError as error:
        raise UserError(str(error)) from error
    except RayError as error:
        raise UserError(f"a measuring worker must start, got: {last_line(error)}") from error
    return pool


def _wait(pool: WorkerPool, target: str, reporter: Reporter, interrupt: Interrupt) -> None:
    begun, first, told = time.monotonic(), None, False
    while pool.futures or not pool.workers:
        if interrupt.pressed or interrupt.out_of_time:
            raise UserError("the search ended before a worker joined, and nothing was added to the record")
        for change in pool.wait(STEP_SECONDS):
            if change.kind == "refused":
                reporter.note(change.text)
        now = time.monotonic()
        if pool.workers:
            first = first or now
            if now - first > OTHERS_SECONDS:
                return
        elif now - begun > TELL_SECONDS and not told:
            told = True
            reporter.note(f"waiting for a worker with a device for {target}")
