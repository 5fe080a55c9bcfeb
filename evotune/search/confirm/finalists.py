"""The end of a search: where its finalists are confirmed, and by whom."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ray.exceptions import RayActorError, RayError

from evotune.errors import last_line
from evotune.planning.plan import Plan
from evotune.search.confirm.confirmation import Confirmation
from evotune.search.interrupt import Interrupt
from evotune.search.reporter import Reporter
from evotune_db import Database
from evotune_workers.cluster.cluster import Cluster, ClusterError, Worker
from evotune_workers.cluster.local import LocalMachine
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.compilers.build import ToolchainError

# A worker that is lost meanwhile is replaced, so often in all.
ATTEMPTS = 3
WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Finals:
    """What is needed to confirm the best of a search."""

    plan: Plan
    cluster: Cluster
    pool: WorkerPool
    database: Database
    reporter: Reporter
    interrupt: Interrupt

    def run(self, search_id: int, *, local: bool) -> None:
        """Confirms; `local`: a CPU does so when Ray has gone.

        The search has its result already: what goes wrong here costs the confirmation, not the summary.
        """
        worker = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                worker = self._worker()
                if worker is None:
                    return
                with self._lab(worker, local) as lab:
                    # A search that does not ask for its share for long counts as ended.
                    look = self.pool.look if isinstance(lab, Cluster) else None
                    self._confirmation(lab, worker, look).run(search_id)
                return
            except (RayError, ClusterError, ToolchainError) as error:
                if worker is None or not isinstance(error, RayActorError) or attempt == ATTEMPTS:
                    self.reporter.note(f"the best could not be confirmed: {last_line(error)}")
                    return
                self.pool.lost(worker)

    def _confirmation(
        self, lab: Cluster | LocalMachine, worker: Worker, look: Callable[[], None] | None
    ) -> Confirmation:
        return Confirmation(self.plan, lab, worker, self.database, self.reporter, self.interrupt, look)

    def _worker(self) -> Worker | None:
        """One that is there, the only one that is kept; None when the search is interrupted before there is one."""
        while not self.pool.workers:
            if self.interrupt.pressed:
                return None
            self.pool.wait(WAIT_SECONDS)
        worker = self.pool.workers[0]
        self.pool.keep_only(worker)
        return worker

    @contextlib.contextmanager
    def _lab(self, worker: Worker, local: bool) -> Iterator[Cluster | LocalMachine]:
        if not local or worker.device.kind != "cpu":
            yield self.cluster
            return
        self.cluster.close()
        own = LocalMachine(self.plan.package, worker.device)
        try:
            yield own
        finally:
            own.close()
