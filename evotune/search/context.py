"""Context of a search: everything that one run of it works with."""

from __future__ import annotations

from dataclasses import dataclass

from evotune.planning.plan import Plan
from evotune.search.interrupt import Interrupt
from evotune.search.reporter import Reporter
from evotune.space import ValidSet
from evotune_db import Database
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.contract import Configuration


@dataclass(frozen=True)
class SearchContext:
    """Plan, cluster, record and display of one run of a search.

    `pool` is None where nothing is measured. The configurations `first` are proposed before the sampler's own.
    """

    plan: Plan
    cluster: Cluster
    pool: WorkerPool | None
    valid: ValidSet
    first: tuple[Configuration, ...]
    database: Database
    search_id: int
    reporter: Reporter
    interrupt: Interrupt

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Workers that can be given work now."""
        return self.pool.workers if self.pool is not None else ()
