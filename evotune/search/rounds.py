"""Building and measuring until the budget is spent, with the workers that can be trusted.

When a worker turns out to be odd, what it measured since it was last good is taken back, and the search goes on from
the record as a resumed one does: so what is under way elsewhere is done again, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from evotune.planning.plan import Plan
from evotune.planning.seeds import search_seeds
from evotune.search.dispatcher import JOBS_AHEAD, Dispatcher
from evotune.search.interrupt import Interrupt
from evotune.search.loop import ClusterWork, Doubt, Doubted, SearchLoop
from evotune.search.recorder import Recorder
from evotune.search.reporter import Reporter, TrialLine
from evotune.search.reuse import Reuse
from evotune.search.study import Study
from evotune.search.workers.health_checks import Verdict
from evotune.search.workers.worker_health import WorkerHealth
from evotune.space import ValidSet
from evotune_db import Database
from evotune_db.records import FINISHED, SearchState, StoredTrial
from evotune_workers.cluster.cluster import Cluster, ClusterError
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.contract import Configuration
from evotune_workers.measuring.jobs import WarmUpJob


@dataclass
class Rounds:
    """A search from its first trial, or from a stored one, to its last.

    `pool` has the workers, None where nothing is measured; `first` is proposed before anything else, `lines` is what
    was told of trials in earlier rounds.
    """

    plan: Plan
    cluster: Cluster
    pool: WorkerPool | None
    valid: ValidSet
    first: Sequence[Configuration]
    database: Database
    search_id: int
    reporter: Reporter
    interrupt: Interrupt
    idle_share: float | None = None
    lines: dict[int, TrialLine] = field(default_factory=dict)

    def run(self, trials: Sequence[StoredTrial]) -> SearchState:
        """Goes on from these trials. Raises ClusterError when no worker is left that can be trusted."""
        canaries = WorkerHealth()
        self._warm_up()
        while True:
            recorder = self._recorder()
            try:
                return self._round(recorder, trials, canaries)
            except Doubted as doubted:
                trials = self._take_back(doubted.doubts, recorder)
                for doubt in doubted.doubts:
                    self._go_without(doubt.verdict)
                    canaries.begin_again(doubt.verdict)

    def _warm_up(self) -> None:
        """Warm up available GPUs while the first builds run, which a CPU's warm-up would take cores from."""
        job = WarmUpJob(self.plan.workloads, search_seeds(self.plan.seed))
        for worker in self.pool.workers if self.pool is not None else ():
            if worker.device.kind != "cpu":
                self.cluster.submit(worker, job)

    def _recorder(self) -> Recorder:
        study = Study(self.valid, self.plan.sampler, self.plan.seed, self.first)
        pool = self.pool
        reuse = None if pool is None else Reuse(self.plan, lambda: [worker.device for worker in pool.workers])
        return Recorder(self.database, self.search_id, study, self.reporter, self.plan.space.limits, reuse)

    def _round(self, recorder: Recorder, trials: Sequence[StoredTrial], canaries: WorkerHealth) -> SearchState:
        seeds = search_seeds(self.plan.seed)
        dispatcher = Dispatcher(self.cluster, self.pool, self.plan.variant, seeds, canaries)
        work = ClusterWork(self.plan, dispatcher, recorder, self.reporter)
        loop = SearchLoop(work, recorder, self.interrupt, budget=self.plan.budget, batch=self._batch())
        try:
            return loop.run(trials)
        finally:
            self.idle_share = dispatcher.idle_share

    def _batch(self) -> int:
        """A proposal for each core that builds, and enough for the workers: a cluster's cores may be yet to come.

        Eight simulated workers were busy for 81 % of the time with two for each, for 99.6 % with three.
        """
        jobs = (1 + JOBS_AHEAD) * self.pool.wanted if self.pool is not None else 0
        return max(self.cluster.cores, jobs)

    def _take_back(self, doubts: Sequence[Doubt], recorder: Recorder) -> tuple[StoredTrial, ...]:
        """The trials as they are without what is doubted."""
        for doubt in doubts:
            self.database.reopen_trials(self.search_id, doubt.canary, doubt.verdict.numbers)
        trials = self.database.load_search(self.search_id).trials
        again = [trial.number for trial in trials if trial.state not in FINISHED]
        self.lines |= recorder.lines
        taken_back = [self.lines.pop(number) for number in again if number in self.lines]
        self.reporter.taken_back(taken_back)
        names = ", ".join(doubt.verdict.worker.name for doubt in doubts)
        self.reporter.note(f"{names}: {len(taken_back)} trials are measured again")
        return trials

    def _go_without(self, verdict: Verdict) -> None:
        if verdict.kind != "quarantined":
            return
        assert self.pool is not None, "only a worker is quarantined"
        self.pool.quarantine(verdict.worker)
        if self.pool.nobody_left:
            raise ClusterError(
                f"a measuring worker must find again what it found before, the last one, {verdict.worker.name}, does"
                f" not, even in a fresh process: {verdict.reason}; see to the machine"
            )
