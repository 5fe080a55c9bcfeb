"""Evaluation of trials on a cluster: each event is recorded, and what to do next is decided from all of them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from evotune.planning.seeds import search_seeds
from evotune.search.context import SearchContext
from evotune.search.dispatch.actions import Action, Build, BuildStages, CheckHealth, Diagnose, Measure, Restart
from evotune.search.dispatch.dispatcher import ATTEMPTS, Dispatcher
from evotune.search.dispatch.events import (
    Built,
    Diagnosed,
    Event,
    Gone,
    HealthChecked,
    Joined,
    Measured,
    NotDiagnosed,
    Note,
    StagesBuilt,
)
from evotune.search.recorder import Recorder
from evotune.search.study import Proposal
from evotune.search.workers.diagnosis_queue import DiagnosisQueue
from evotune.search.workers.health_checks import Distrust, Verdict
from evotune.search.workers.worker_health import WorkerHealth
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.measuring.jobs import MeasureJob, Measurement


class ClusterEvaluator:
    """Takes trials from proposal to outcome."""

    def __init__(
        self, context: SearchContext, dispatcher: Dispatcher, recorder: Recorder, health: WorkerHealth
    ) -> None:
        """Begin without trials. `health` remembers the workers that an earlier round distrusted."""
        self._plan, self._reporter = context.plan, context.reporter
        self._dispatcher, self._recorder, self._health = dispatcher, recorder, health
        self._seeds = search_seeds(context.plan.seed)
        self._queue: list[tuple[int, Candidate]] = []
        self._attempts: dict[int, int] = {}
        self._diagnoses = DiagnosisQueue(context.plan.variant, self._seeds)
        self._restarts: list[Worker] = []
        for worker in context.workers:
            health.join(worker)

    @property
    def unfinished(self) -> bool:
        """True while a diagnosis, or the check of a distrusted worker, is yet to come."""
        return self._diagnoses.pending or self._health.unsettled

    def start(self, proposals: Sequence[Proposal]) -> None:
        """Build the proposals, except those that another search has measured."""
        plan = self._plan
        self._dispatcher.carry_out(
            Build(BuildJob(each.number, each.configuration, plan.variant.name, plan.target, plan.workloads))
            for each in self._recorder.take_over(proposals)
        )

    def step(self, seconds: float) -> Sequence[Distrust]:
        """Handle what has happened, and give out what can be done now; write the outcomes while workers are busy.

        Returns the workers that are distrusted from now on: what they measured has to be measured again.
        """
        try:
            distrusted = self._handle_events(seconds)
            self._dispatcher.carry_out(self._take_restarts() if distrusted else self._decide())
        finally:
            self._recorder.flush()
        return distrusted

    def _handle_events(self, seconds: float) -> Sequence[Distrust]:
        """Handle events up to the first that makes trials unreliable; the jobs of later ones are done again."""
        for event in self._dispatcher.wait(seconds):
            if distrusted := self._handle(event):
                return distrusted
        return ()

    def _handle(self, event: Event) -> Sequence[Distrust]:
        match event:
            case Built(candidate):
                self._built(candidate)
            case Measured(worker, candidate, measurement):
                self._measured(worker, candidate, measurement)
            case HealthChecked(worker, measurement):
                return self._judge(worker, measurement)
            case StagesBuilt(trial, stages):
                self._diagnoses.built(trial, stages)
            case Diagnosed(worker, candidate, diagnosis):
                self._show_idle(worker)
                self._diagnoses.finished(candidate)
                self._recorder.diagnosed(candidate, diagnosis)
            case NotDiagnosed(candidate, reason):
                self._diagnoses.finished(candidate)
                self._recorder.not_diagnosed(candidate, reason)
            case Joined(worker, text):
                self._health.join(worker)
                self._reporter.note(text)
            case Gone(worker, text):
                self._reporter.worker(worker.name, "gone")
                self._reporter.note(text)
                return self._leave(worker)
            case Note(text):
                self._reporter.note(text)
        return ()

    def _built(self, candidate: Candidate) -> None:
        if not self._recorder.built(candidate):
            return
        if self._plan.build_only:
            self._recorder.built_only(candidate)
        else:
            self._enqueue(candidate)

    def _measured(self, worker: Worker, candidate: Candidate, measurement: Measurement) -> None:
        """Record a measurement; a trial without a result is measured again, a few times in all."""
        number = candidate.number
        self._attempts[number] = self._attempts.get(number, 0) + 1
        if measurement.busy and self._attempts[number] < ATTEMPTS:
            self._enqueue(candidate)
            return
        self._show_idle(worker)
        self._recorder.measured(candidate, measurement, worker.device)
        self._health.measured(worker, candidate, measurement)
        self._diagnoses.add(candidate, measurement, worker.device.target)

    def _leave(self, worker: Worker) -> Sequence[Distrust]:
        verdict = self._health.leave(worker)
        if verdict is None:
            return ()
        assert self._health.reference is not None, "nobody is distrusted before there is a reference"
        return (Distrust(verdict, self._recorder.health_checked(self._health.reference.number, verdict, None)),)

    def _judge(self, worker: Worker, measurement: Measurement) -> Sequence[Distrust]:
        """Record the verdicts that follow from a health check, on its worker and on others."""
        distrusted = []
        for verdict in self._health.judge(worker, measurement):
            own = measurement if verdict.worker.name == worker.name else None
            row = self._recorder.health_checked(measurement.number, verdict, own)
            self._tell(verdict)
            if verdict.kind == "odd":
                self._restarts.append(verdict.worker)
            if verdict.kind == "quarantined" or verdict.numbers:
                distrusted.append(Distrust(verdict, row))
        return distrusted

    def _tell(self, verdict: Verdict) -> None:
        if verdict.kind == "odd":
            self._reporter.note(f"{verdict.worker.name}: {verdict.reason}; checked again in a fresh process")
        elif verdict.kind == "quarantined":
            self._reporter.note(f"{verdict.worker.name} gets no more work: {verdict.reason}")

    def _decide(self) -> list[Action]:
        """Return the next actions: restarts, then health checks, then trials; diagnoses have workers that are left."""
        actions: list[Action] = self._take_restarts()
        restarting = {action.worker for action in actions if isinstance(action, Restart)}
        free: list[Worker] = []
        for worker in self._dispatcher.idle:
            if worker in restarting:
                continue
            if self._health.due(worker):
                actions.append(self._check_health(worker))
            elif self._health.trusted(worker):
                free.append(worker)
        measured = self._measure_next(free)
        actions += measured
        if not self._queue:
            actions += self._diagnose_next(free[len(measured) :])
        if (trial := self._diagnoses.next_to_build()) is not None:
            actions.append(BuildStages(trial, trial.stage_build_job(self._plan.variant.name)))
        return actions

    def _take_restarts(self) -> list[Action]:
        restarts, self._restarts = self._restarts, []
        return [Restart(worker) for worker in restarts]

    def _check_health(self, worker: Worker) -> CheckHealth:
        assert self._health.reference is not None, "no check is due before there is a reference"
        self._health.start_check(worker)
        self._reporter.worker(worker.name, "checking its health")
        return CheckHealth(worker, self._measure_job(self._health.reference))

    def _measure_next(self, workers: Sequence[Worker]) -> list[Measure]:
        candidates = self._next_candidates(len(workers))
        self._recorder.measuring(candidates)
        actions = []
        for worker, candidate in zip(workers, candidates, strict=False):
            self._reporter.worker(worker.name, f"measuring trial {self._recorder.trial(candidate.number)}")
            actions.append(Measure(worker, self._measure_job(candidate, stop_slow=True)))
        return actions

    def _next_candidates(self, most: int) -> list[Candidate]:
        """Take candidates from the queue; drop those that another search has measured since they were proposed."""
        chosen: list[Candidate] = []
        while self._queue and len(chosen) < most:
            count = min(len(self._queue), most - len(chosen))
            upcoming = [heapq.heappop(self._queue)[1] for _ in range(count)]
            known = self._recorder.measured_elsewhere(upcoming)
            chosen += [candidate for candidate in upcoming if candidate.number not in known]
        return chosen

    def _diagnose_next(self, workers: Sequence[Worker]) -> list[Diagnose]:
        actions = []
        for worker in workers:
            job = self._diagnoses.next_job()
            if job is None:
                break
            self._reporter.worker(worker.name, f"diagnosing trial {self._recorder.trial(job.candidate.number)}")
            actions.append(Diagnose(worker, job))
        return actions

    def _measure_job(self, candidate: Candidate, *, stop_slow: bool = False) -> MeasureJob:
        """Return the job; with `stop_slow` its timing stops once it is surely slower than the incumbent."""
        incumbents = dict(self._recorder.incumbent.speedups) if stop_slow else {}
        return MeasureJob(candidate, self._plan.variant.name, self._seeds, incumbents)

    def _enqueue(self, candidate: Candidate) -> None:
        heapq.heappush(self._queue, (candidate.number, candidate))

    def _show_idle(self, worker: Worker) -> None:
        self._reporter.worker(worker.name, f"{self._dispatcher.builds_running} builds running")
