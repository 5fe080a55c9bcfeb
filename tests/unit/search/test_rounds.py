"""Rounds of a search with a faulty worker: loop and record are real, and jobs take only simulated time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evotune_workers.cluster.cluster import ClusterError, Worker
from evotune_workers.cluster.slots import Change
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import MeasureJob, Measurement, WarmUpJob
from evotune_workers.timing.summary import Timing
from tests.support.simulated.cluster import BASELINE_US, MEASURE_SECONDS, Future, SimulatedCluster, measurement
from tests.support.simulated.search import simulated_search

TRIALS = 110
SLOWER = 1.5
# The faulty worker is as good as any until then.
GOOD_JOBS = 20


class FaultyCluster(SimulatedCluster):
    """A cluster whose first worker becomes slow, for good or until its process is restarted."""

    def __init__(self, workers: int, device: Device, *, cured_by_restart: bool) -> None:
        super().__init__(workers, 8, device)
        self.faulty, self.cured_by_restart = self.workers[0].name, cured_by_restart
        self.restarted: list[str] = []
        self.quarantined: list[str] = []
        self.slow_trials: set[int] = set()
        self._joining: dict[Future, Worker] = {}

    @property
    def futures(self) -> tuple[Any, ...]:
        return tuple(self._joining)

    def submit(self, worker: Worker, job: MeasureJob | WarmUpJob) -> Future:
        if isinstance(job, WarmUpJob):
            return super().submit(worker, job)
        found = measurement(job.candidate)
        due = worker.actor.take(self.now, MEASURE_SECONDS)
        if self._is_slow(worker):
            self.slow_trials.add(job.candidate.number)
            found = slowed(found)
        return self._future(due, lambda: found)

    def restart(self, worker: Worker) -> None:
        self.restarted.append(worker.name)
        self.workers.remove(worker)
        self._joining[self._future(self.now + 1.0, lambda: None)] = worker

    def take(self, future: Future) -> Change:
        again = replace(self._joining.pop(future))
        self.workers.append(again)
        return Change("came", f"{again.name} has come", again)

    def quarantine(self, worker: Worker) -> None:
        self.quarantined.append(worker.name)
        self.workers = [each for each in self.workers if each.name != worker.name]

    def _is_slow(self, worker: Worker) -> bool:
        if worker.name != self.faulty or (self.restarted and self.cured_by_restart):
            return False
        return len(worker.actor.jobs) > GOOD_JOBS


def slowed(found: Measurement) -> Measurement:
    """Return the same from a device on which the kernel and the baseline take longer."""
    return replace(found, timings=tuple(map(_slowed, found.timings)))


def _slowed(timing: Timing) -> Timing:
    samples = {side: [(SLOWER * a, SLOWER * b) for a, b in pairs] for side, pairs in timing.samples.items()}
    return replace(
        timing, median_us=SLOWER * timing.median_us, baseline_us=SLOWER * timing.baseline_us, samples=samples
    )


@pytest.mark.parametrize("cured", [False, True])
def test_what_a_slow_worker_measured_is_measured_again_by_one_that_is_trusted(tmp_path: Path, cured: bool) -> None:
    file = tmp_path / "rounds.db"
    with simulated_search(file, TRIALS, lambda device: FaultyCluster(2, device, cured_by_restart=cured)) as run:
        cluster = run.cluster
        assert run.state == "finished" and cluster.slow_trials
        assert (cluster.restarted, cluster.quarantined) == ([cluster.faulty], [] if cured else [cluster.faulty])
        trials = run.database.load_search(run.search_id).trials
        assert [trial.number for trial in trials] == list(range(TRIALS))
        timings = [timing for trial in trials for timing in run.database.trial(trial.id).timings]
    assert {timing.baseline_us for timing in timings} == {BASELINE_US}, "nothing that it measured while slow is left"
    assert run.printed.count("trials are measured again") == 1


def test_a_search_ends_when_its_only_worker_cannot_be_trusted(tmp_path: Path) -> None:
    file = tmp_path / "rounds.db"
    with (
        pytest.raises(ClusterError, match="the last one, gpu 0, does not, even in a fresh process"),
        simulated_search(file, TRIALS, lambda device: DriftingCluster(1, device, cured_by_restart=False)),
    ):
        pass


class DriftingCluster(FaultyCluster):
    """A cluster whose kernels become slow beside the baseline."""

    def submit(self, worker: Worker, job: MeasureJob | WarmUpJob) -> Future:
        if isinstance(job, WarmUpJob):
            return super().submit(worker, job)
        found = measurement(job.candidate)
        due = worker.actor.take(self.now, MEASURE_SECONDS)
        if self._is_slow(worker):
            found = replace(found, timings=tuple(map(_drifted, found.timings)))
        return self._future(due, lambda: found)


def _drifted(timing: Timing) -> Timing:
    speedups = {name: getattr(timing, name) / SLOWER for name in ("speedup", "speedup_low", "speedup_high")}
    return replace(_slowed(timing), baseline_us=timing.baseline_us, **speedups)
