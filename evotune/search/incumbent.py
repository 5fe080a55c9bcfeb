"""Incumbent of a search: the best trial so far, which stops the timing of hopeless ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evotune.search.reporter import BestSoFar, Reporter
from evotune_db import Database
from evotune_db.records import StoredTrial, TimingLike
from evotune_workers.kernel.contract import Configuration

# Width of an interval relative to its median.
NARROW = 0.05


class Incumbent:
    """Follows the trials of a search as they are recorded.

    `speedups` has the low end of the incumbent's speed-up by workload; empty where it should stop nobody.
    """

    def __init__(self, reporter: Reporter) -> None:
        """Begin without an incumbent. Each new one is reported."""
        self._reporter = reporter
        self._best: BestSoFar | None = None
        self.speedups: Mapping[str, float] = {}

    def offer(
        self, trial: int, configuration: Configuration, objective: float | None, timings: Sequence[TimingLike]
    ) -> None:
        """Offer a trial with its timings; one without an objective cannot become the incumbent."""
        cold = [timing for timing in timings if timing.mode == "cold"]
        if objective is None or not cold or (self._best is not None and 1 / objective <= self._best.speedup):
            return
        self._reporter.best(self._take(trial, configuration, objective, cold))

    def restore(self, trials: Sequence[StoredTrial], database: Database) -> None:
        """Restore the incumbent of an earlier run; among trials that share a binary, the one that was timed."""
        complete = [(trial.objective, trial) for trial in trials if trial.objective and not trial.censored]
        least = min((objective for objective, _ in complete), default=None)
        for objective, trial in complete:
            if objective != least:
                continue
            measured_as = trial.id if trial.reused_from is None else trial.reused_from
            timings = database.trial(measured_as).timings
            cold = [timing for timing in timings if timing.phase == "search" and timing.mode == "cold"]
            if cold:
                self._reporter.best_before(self._take(trial.id, trial.configuration, objective, cold))
                return

    def _take(
        self, trial: int, configuration: Configuration, objective: float, cold: Sequence[TimingLike]
    ) -> BestSoFar:
        first, single, speedup = cold[0], len(cold) == 1, 1 / objective
        # With several workloads their mean counts: a trial that is slow at one of them may still win.
        self.speedups = {first.workload: first.speedup_low} if single and _is_narrow(first) else {}
        self._best = BestSoFar(
            trial=trial,
            speedup=speedup,
            low=first.speedup_low if single else speedup,
            high=first.speedup_high if single else speedup,
            baseline=first.baseline,
            median_us=first.median_us,
            baseline_us=first.baseline_us,
            configuration=configuration,
        )
        return self._best


def _is_narrow(timing: TimingLike) -> bool:
    """Return True if the interval is narrow enough to stop others early."""
    return timing.speedup_high - timing.speedup_low <= NARROW * timing.speedup
