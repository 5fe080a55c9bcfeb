"""Rounds of a search: build and measure until the budget is spent, with the workers that can be trusted.

When a worker turns out to be faulty, the trials that it measured since its last good health check are taken back. The
search then goes on from the record as a resumed one does: jobs under way elsewhere are done again, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from evotune.planning.seeds import search_seeds
from evotune.search.context import SearchContext
from evotune.search.dispatch.dispatcher import JOBS_AHEAD, Dispatcher
from evotune.search.dispatch.evaluator import ClusterEvaluator
from evotune.search.loop import LoopEnd, SearchLoop
from evotune.search.recorder import Recorder
from evotune.search.reporter import TrialLine
from evotune.search.reuse import Reuse
from evotune.search.study import Study
from evotune.search.workers.health_checks import Distrust, Verdict
from evotune.search.workers.worker_health import WorkerHealth
from evotune_db.records import FINISHED, SearchState, StoredTrial
from evotune_workers.cluster.cluster import ClusterError
from evotune_workers.measuring.jobs import WarmUpJob


@dataclass
class Rounds:
    """A search from its first trial, or from a stored one, to its last. `lines` were reported in earlier rounds."""

    context: SearchContext
    idle_share: float | None = None
    lines: dict[int, TrialLine] = field(default_factory=dict)

    def run(self, trials: Sequence[StoredTrial]) -> SearchState:
        """Continue from these trials. Raises ClusterError when no worker is left that can be trusted."""
        health = WorkerHealth()
        self._warm_up()
        while True:
            recorder = self._recorder()
            end = self._round(recorder, trials, health)
            if not end.distrusted:
                return end.state
            trials = self._take_back(end.distrusted, recorder)
            for distrust in end.distrusted:
                self._quarantine(distrust.verdict)
                health.begin_round(distrust.verdict)

    def _warm_up(self) -> None:
        """Warm up available GPUs while the first builds run, which a CPU's warm-up would take cores from."""
        plan = self.context.plan
        job = WarmUpJob(plan.workloads, search_seeds(plan.seed))
        for worker in self.context.workers:
            if worker.device.kind != "cpu":
                self.context.cluster.submit(worker, job)

    def _recorder(self) -> Recorder:
        context = self.context
        plan = context.plan
        study = Study(context.valid, plan.sampler, plan.seed, context.first)
        reuse = None if context.pool is None else Reuse(plan, lambda: [worker.device for worker in context.workers])
        return Recorder(context.database, context.search_id, study, context.reporter, plan.space.limits, reuse)

    def _round(self, recorder: Recorder, trials: Sequence[StoredTrial], health: WorkerHealth) -> LoopEnd:
        context = self.context
        dispatcher = Dispatcher(context.cluster, context.pool)
        evaluator = ClusterEvaluator(context, dispatcher, recorder, health)
        loop = SearchLoop(evaluator, recorder, context.interrupt, budget=context.plan.budget, batch=self._batch())
        try:
            return loop.run(trials)
        finally:
            self.idle_share = dispatcher.idle_share

    def _batch(self) -> int:
        """Return a proposal for each core that builds, and enough for workers: a cluster's cores may be yet to come.

        Eight simulated workers were busy for 81 % of the time with two for each, for 99.6 % with three.
        """
        context = self.context
        jobs = (1 + JOBS_AHEAD) * context.pool.wanted if context.pool is not None else 0
        return max(context.cluster.cores, jobs)

    def _take_back(self, distrusted: Sequence[Distrust], recorder: Recorder) -> tuple[StoredTrial, ...]:
        """Withdraw the unreliable trials, and return all trials as they are then."""
        context = self.context
        for distrust in distrusted:
            context.database.reopen_trials(context.search_id, distrust.row, distrust.verdict.numbers)
        trials = context.database.load_search(context.search_id).trials
        again = [trial.number for trial in trials if trial.state not in FINISHED]
        self.lines |= recorder.lines
        taken_back = [self.lines.pop(number) for number in again if number in self.lines]
        context.reporter.taken_back(taken_back)
        names = ", ".join(distrust.verdict.worker.name for distrust in distrusted)
        context.reporter.note(f"{names}: {len(taken_back)} trials are measured again")
        return trials

    def _quarantine(self, verdict: Verdict) -> None:
        if verdict.kind != "quarantined":
            return
        pool = self.context.pool
        assert pool is not None, "only a worker is quarantined"
        pool.quarantine(verdict.worker)
        if pool.nobody_left:
            raise ClusterError(
                f"a measuring worker must find again what it found before; the last one, {verdict.worker.name}, does"
                f" not, even in a fresh process: {verdict.reason}; see to the machine"
            )
