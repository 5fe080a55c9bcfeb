"""Confirming the best of a search: fresh process, new seeds, finalists timed interleaved with each other."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evotune.planning.plan import Plan
from evotune.planning.seeds import confirmation_seeds
from evotune.search.interrupt import Interrupt
from evotune.search.outcomes import build_records, device_record
from evotune.search.reporter import Reporter
from evotune_db import Database
from evotune_db.errors import NotPassed
from evotune_db.records import LeaderboardFilter, StoredTrial
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.local import LocalMachine
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.measuring.jobs import ConfirmJob, Measurement

FINALISTS = 5
# When every finalist of a round fails, the next best are tried; more rounds would only hide that something is wrong.
ROUNDS = 3
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Confirmation:
    """What confirming needs; `worker` is the one that measures, in `lab`. `look` is called now and then meanwhile."""

    plan: Plan
    lab: Cluster | LocalMachine
    worker: Worker
    database: Database
    reporter: Reporter
    interrupt: Interrupt
    look: Callable[[], None] | None = None

    def run(self, search_id: int) -> None:
        """Confirms the best trials that stand on the leaderboard; each verdict is recorded as it comes.

        Ends early when interrupted; what is not confirmed then stays listed as it is.
        """
        standing = self._ranked(search_id)
        for first in range(0, min(len(standing), FINALISTS * ROUNDS), FINALISTS):
            finalists = standing[first : first + FINALISTS]
            names = ", ".join(str(trial.id) for trial in finalists)
            self.reporter.worker(self.worker.name, f"confirming trials {names}")
            if self._confirm(finalists) or self.interrupt.pressed:
                return

    def _ranked(self, search_id: int) -> list[StoredTrial]:
        """Trials not confirmed yet with a complete timing for every workload: by speed-up and by time, in turn.

        Other work on a machine can slow the baseline more than the candidate for a while: a trial measured then has too
        large a speed-up, and one measured before or after it is passed over. Their own times tell them apart.
        """
        trials = self.database.load_search(search_id).trials
        reused = {trial.reused_from for trial in trials}
        medians: dict[int, list[float]] = defaultdict(list)
        for entry in self.database.leaderboard(LeaderboardFilter(search=search_id)):
            # What another search confirmed has not met this one's best.
            if not entry.confirmed or entry.trial in reused:
                medians[entry.trial].append(entry.median_us)
        complete = [
            trial
            for trial in trials
            if trial.objective is not None and len(medians[_measured_as(trial)]) == len(self.plan.workloads)
        ]
        by_speedup = sorted(complete, key=lambda trial: trial.objective or 0.0)
        by_time = sorted(complete, key=lambda trial: math.prod(medians[_measured_as(trial)]))
        in_turn = itertools.chain.from_iterable(zip(by_speedup, by_time, strict=True))
        return list({trial.id: trial for trial in in_turn}.values())

    def _confirm(self, finalists: list[StoredTrial]) -> bool:
        """Whether the next best need not be tried: one was confirmed, or the machine was too busy to say."""
        variant = self.plan.space.variant
        jobs = [
            BuildJob(trial.id, trial.configuration, variant, self.plan.target, self.plan.workloads)
            for trial in finalists
        ]
        candidates = self._built(jobs)
        if candidates is None or any(built.build.binary is None for each in candidates for built in each.builds):
            return False
        confirm = ConfirmJob(tuple(candidates), variant, confirmation_seeds(self.plan.seed))
        results = self._result([self.lab.submit(self.worker, confirm)])
        if results is None:
            return False
        for trial, candidate, measurement in zip(finalists, candidates, results[0], strict=True):
            self._record(trial, candidate, measurement)
        return any(measurement.failed_gate is None for measurement in results[0])

    def _built(self, jobs: list[BuildJob]) -> list[Candidate] | None:
        """None when the search is interrupted. Raises ToolchainError where no node can build."""
        while True:
            found: list[Candidate | UnusableNode] | None = self._result([self.lab.build(job) for job in jobs])
            unusable = [each for each in found or () if isinstance(each, UnusableNode)]
            if not unusable:
                return None if found is None else [each for each in found if isinstance(each, Candidate)]
            for each in unusable:
                assert isinstance(self.lab, Cluster), "only a cluster has nodes"
                self.lab.exclude_builder(each)

    def _record(self, trial: StoredTrial, candidate: Candidate, measurement: Measurement) -> None:
        if measurement.reason is not None:
            self.reporter.note(f"trial {trial.id} was not confirmed: {measurement.reason}")
        if measurement.failed_gate is None and not measurement.timings:
            return  # the machine was busy: the trial stays listed as it was
        try:
            self.database.record_confirmation(
                _measured_as(trial),
                device_record(self.worker.device),
                measurement.gates,
                measurement.timings,
                measurement.failed_gate is None,
                measurement.reason,
                builds=build_records(candidate),
            )
        except NotPassed as failed:
            # Another search, which measured it first, has found it wrong meanwhile.
            self.reporter.note(f"trial {trial.id} was not confirmed: {failed}")

    def _result(self, futures: list[Any]) -> Any:
        """What the futures hold, or None when the search is interrupted before they are all there."""
        while (results := self.lab.results(futures, WAIT_SECONDS)) is None:
            if self.interrupt.pressed:
                return None
            if self.look is not None:
                self.look()
        return results


def _measured_as(trial: StoredTrial) -> int:
    """The trial with the entries, which may be another search's."""
    return trial.id if trial.reused_from is None else trial.reused_from
