"""Confirmation of finalists: fresh process, new seeds, finalists timed interleaved with each other."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evotune.planning.seeds import confirmation_seeds
from evotune.search.context import SearchContext
from evotune.search.outcomes import build_records, device_record
from evotune_db.errors import NotPassed
from evotune_db.records import LeaderboardFilter, StoredTrial
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.measuring.jobs import ConfirmJob, Measurement

if TYPE_CHECKING:
    from evotune_workers.cluster.local import LocalMachine

FINALISTS = 5
# When every finalist of a round fails, the next best are tried. More rounds would only hide a fault.
ROUNDS = 3
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Confirmation:
    """Confirms the best trials of a search. `worker` measures in `lab`; `look` is called now and then meanwhile."""

    context: SearchContext
    lab: Cluster | LocalMachine
    worker: Worker
    look: Callable[[], None] | None = None

    def run(self) -> None:
        """Confirm the best trials on the leaderboard; each verdict is recorded as it comes.

        Ends early when interrupted; trials that are not confirmed then stay listed as they are.
        """
        standing = self._ranked(self.context.search_id)
        for first in range(0, min(len(standing), FINALISTS * ROUNDS), FINALISTS):
            finalists = standing[first : first + FINALISTS]
            names = ", ".join(str(trial.id) for trial in finalists)
            self.context.reporter.worker(self.worker.name, f"confirming trials {names}")
            if self._confirm(finalists) or self.context.interrupt.pressed:
                return

    def _ranked(self, search_id: int) -> list[StoredTrial]:
        """Return trials not confirmed yet with a complete timing for every workload: by speed-up and by time, in turn.

        Other work on a machine can slow the baseline more than the candidate for a while. A trial measured then has too
        large a speed-up, and one measured before or after it is passed over. Their own times tell them apart.
        """
        trials = self.context.database.load_search(search_id).trials
        reused = {trial.reused_from for trial in trials}
        medians: dict[int, list[float]] = defaultdict(list)
        for entry in self.context.database.leaderboard(LeaderboardFilter(search=search_id)):
            # A trial that another search confirmed was not timed beside this one's best.
            if not entry.confirmed or entry.trial in reused:
                medians[entry.trial].append(entry.median_us)
        complete = [
            trial
            for trial in trials
            if trial.objective is not None and len(medians[_measured_as(trial)]) == len(self.context.plan.workloads)
        ]
        by_speedup = sorted(complete, key=lambda trial: trial.objective or 0.0)
        by_time = sorted(complete, key=lambda trial: math.prod(medians[_measured_as(trial)]))
        in_turn = itertools.chain.from_iterable(zip(by_speedup, by_time, strict=True))
        return list({trial.id: trial for trial in in_turn}.values())

    def _confirm(self, finalists: list[StoredTrial]) -> bool:
        """Return True if the next best need not be tried: one was confirmed, or the machine was too busy to say."""
        variant = self.context.plan.space.variant
        jobs = [
            BuildJob(trial.id, trial.configuration, variant, self.context.plan.target, self.context.plan.workloads)
            for trial in finalists
        ]
        candidates = self._built(jobs)
        if candidates is None or any(built.build.binary is None for each in candidates for built in each.builds):
            return False
        confirm = ConfirmJob(tuple(candidates), variant, confirmation_seeds(self.context.plan.seed))
        results = self._result([self.lab.submit(self.worker, confirm)])
        if results is None:
            return False
        for trial, candidate, measurement in zip(finalists, candidates, results[0], strict=True):
            self._record(trial, candidate, measurement)
        return any(measurement.failed_gate is None for measurement in results[0])

    def _built(self, jobs: list[BuildJob]) -> list[Candidate] | None:
        """Return the candidates, None when the search is interrupted. Raises ToolchainError where no node can build."""
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
            self.context.reporter.note(f"trial {trial.id} was not confirmed: {measurement.reason}")
        if measurement.failed_gate is None and not measurement.timings:
            return  # the machine was busy: the trial stays listed as it was
        try:
            self.context.database.record_confirmation(
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
            self.context.reporter.note(f"trial {trial.id} was not confirmed: {failed}")

    def _result(self, futures: list[Any]) -> Any:
        """Return the results of the futures, or None when the search is interrupted before they are all there."""
        while (results := self.lab.results(futures, WAIT_SECONDS)) is None:
            if self.context.interrupt.pressed:
                return None
            if self.look is not None:
                self.look()
        return results


def _measured_as(trial: StoredTrial) -> int:
    """Return the id of the trial with the leaderboard entries, which may be another search's."""
    return trial.id if trial.reused_from is None else trial.reused_from
