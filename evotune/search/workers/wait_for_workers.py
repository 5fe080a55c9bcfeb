"""Gathering the workers of a search before its first trial."""

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

# After the first worker others are waited for so long; who comes later joins the search.
OTHERS_SECONDS = 15.0
# How long there may be none before the user is told what is waited for.
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
    """With one worker at least, and all that come soon after. UserError when there can be none.

    Figures of two devices do not compare: a search that goes on measures on what it was measured on `before`.
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
            raise UserError("the search ended before a worker had come, and nothing was added to the record")
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
