"""Evaluating configurations on one device: gates in order, then timing. The measuring actor's body, free of Ray."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evotune_workers.child.messages import WarmUp
from evotune_workers.child.sandbox import ChildBroke, Sandbox
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.diagnosis.finding import Diagnosis
from evotune_workers.gates.gate import GateResult
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.child_session import LOAD_LIMIT_SECONDS, ChildLost, GateFailed, Refuted, Session, Sides
from evotune_workers.measuring.diagnoser import diagnose
from evotune_workers.measuring.jobs import ConfirmJob, DiagnoseJob, MeasureJob, Measurement, WarmUpJob
from evotune_workers.measuring.timing_session import NoResult, TimingSession
from evotune_workers.timing.protocol import MOST_BLOCKS, Samples
from evotune_workers.timing.statistics import Interval, mean_interval
from evotune_workers.timing.summary import Timing, most_cautious

# The gates that a finalist passes again, on new seeds.
CONFIRM_GATES = tuple(gate for gate in RUNNING_GATES if gate.name in ("identity", "launch", "numerics"))
CANDIDATE = "candidate"
# Finalists are timed this often, seconds apart; see `most_cautious`.
CONFIRM_RUNS = 3
# On a CPU one of two copies of the same code is up to 1.5 % faster for as long as they are loaded, by where its pages
# lie: a comparison loads both this often and takes each time as one observation.
CPU_LOADS, BLOCKS_OF_LOAD = 12, 10


@dataclass(frozen=True)
class Duel:
    """Two candidates timed against each other: `ratio` = second's time / first's (over 1: the first is faster)."""

    ratio: Interval
    first_us: float
    second_us: float


class Measurer:
    """Owns one device, through a killable child that does everything on it."""

    def __init__(self, kernel_folder: Path, device: Device, sandbox: Sandbox | None = None) -> None:
        """In that sandbox, or one of its own; raises KernelError when the kernel does not load."""
        self._session = Session(kernel_folder, device, sandbox)

    def warm_up(self, job: WarmUpJob) -> None:
        """Before the first trial. What goes wrong is found out by that."""
        try:
            self._session.ask("launch", WarmUp(job.workloads, job.seeds), LOAD_LIMIT_SECONDS)
        except (GateFailed, ChildBroke):
            self._session.renew()

    def measure(self, job: MeasureJob) -> Measurement:
        """Every gate and the timing for every workload; the first failure ends it.

        A configuration whose child died, or whose child's Python raised, is tried once more in a fresh child before it
        is marked failed: an earlier configuration may have been at fault. Raises ChildBroke when Python raises again.
        """
        started = time.perf_counter()
        try:
            measurement = self._attempt(job)
        except (ChildLost, ChildBroke):
            self._session.renew()
            measurement = self._second_attempt(job)
        return replace(measurement, seconds=time.perf_counter() - started)

    def confirm(self, job: ConfirmJob) -> tuple[Measurement, ...]:
        """Finalists again: fresh process, new seeds, full timing, interleaved with each other and the baselines.

        A finalist that could not be timed, because the machine was busy, has neither a failed gate nor timings.
        """
        self._session.renew()
        checked = {candidate.number: self._check_again(candidate, job) for candidate in job.candidates}
        honest = [candidate for candidate in job.candidates if checked[candidate.number].failed_gate is None]
        timed = self._time_finalists(honest, checked, job) if honest else {}
        return tuple(timed.get(number, measurement) for number, measurement in checked.items())

    def diagnose(self, job: DiagnoseJob) -> Diagnosis:
        """Where in the kernel a wrong result comes from; what goes wrong meanwhile is in the findings."""
        return diagnose(self._session, job)

    def compare(self, first: Candidate, second: Candidate, variant: str, seeds: tuple[int, ...]) -> Duel:
        """Two candidates interleaved, at their first workload, cold.

        Raises GateFailed when one of them cannot be run, NoResult when the machine is too busy.
        """
        sides = {f"{CANDIDATE} {place}": (each, each.builds[0]) for place, each in enumerate((first, second))}
        ours, theirs = sides
        if self._session.device.kind != "cpu":
            samples = self._against(sides, variant, seeds, MOST_BLOCKS)
            return Duel(samples.speedup(ours, theirs), samples.median_us(ours), samples.median_us(theirs))
        loads = [self._against(sides, variant, seeds, BLOCKS_OF_LOAD) for _ in range(CPU_LOADS)]
        return Duel(
            mean_interval([samples.speedup(ours, theirs).median for samples in loads]),
            *(float(np.median([samples.median_us(side) for samples in loads])) for side in sides),
        )

    def _against(self, sides: Sides, variant: str, seeds: tuple[int, ...], most_blocks: int) -> Samples:
        """Of the first side against the second, loaded anew."""
        with self._session.loaded(sides, variant, seeds):
            keeper = TimingSession(self._session, {side: built for side, (_, built) in sides.items()}, finalists=True)
            ours, theirs = sides
            return keeper.against(ours, theirs, most_blocks)

    def compare_with_baselines(self, candidate: Candidate, variant: str, seeds: tuple[int, ...]) -> Timing:
        """A candidate beside every baseline, as finalists are timed, at its first workload, cold; raises the same."""
        sides = {CANDIDATE: (candidate, candidate.builds[0])}
        with self._session.loaded(sides, variant, seeds):
            keeper = TimingSession(self._session, {CANDIDATE: candidate.builds[0]}, finalists=True)
            return keeper.cold_and_warm(None)[CANDIDATE][0]

    def close(self) -> None:
        """Ends every process of it."""
        self._session.close()

    def _second_attempt(self, job: MeasureJob) -> Measurement:
        try:
            return self._attempt(job)
        except ChildLost as lost:
            self._session.renew()
            return _failed(job.candidate, lost.results, lost)

    def _attempt(self, job: MeasureJob) -> Measurement:
        """Raises ChildLost; every other failure is in the measurement."""
        results: list[GateResult] = []
        timings: list[Timing] = []
        try:
            for built in job.candidate.builds:
                with self._session.loaded({CANDIDATE: (job.candidate, built)}, job.variant, job.seeds):
                    for gate in RUNNING_GATES:
                        results += self._session.run_gate(gate, CANDIDATE, built)
                    timings += self._time(built, job.incumbents.get(built.workload), results)
        except ChildLost as lost:
            raise ChildLost((*results, *lost.results)) from lost
        except NoResult as busy:
            return replace(_failed(job.candidate, (*results, *busy.results), busy), busy=True)
        except GateFailed as failure:
            # Whatever a refused build did to the child's memory must not meet the next one.
            self._session.renew()
            return _failed(job.candidate, (*results, *failure.results), failure)
        return Measurement(job.candidate.number, tuple(results), tuple(timings), None, None, seconds=0.0)

    def _time(self, built: WorkloadBuild, incumbent: float | None, results: list[GateResult]) -> tuple[Timing, ...]:
        """The timing gate; its verdict joins the results."""
        started = time.perf_counter()
        timings = TimingSession(self._session, {CANDIDATE: built}).cold_and_warm(incumbent)[CANDIDATE]
        figures = {"blocks": sum(timing.blocks for timing in timings), "censored": timings[0].censored}
        seconds = time.perf_counter() - started
        results.append(GateResult("timing", True, workload=built.workload, seconds=seconds, figures=figures))
        return timings

    def _check_again(self, candidate: Candidate, job: ConfirmJob) -> Measurement:
        results: list[GateResult] = []
        try:
            for built in candidate.builds:
                with self._session.loaded({CANDIDATE: (candidate, built)}, job.variant, job.seeds):
                    for gate in CONFIRM_GATES:
                        results += self._session.run_gate(gate, CANDIDATE, built)
        except GateFailed as failure:
            self._session.renew()
            return _unconfirmed(candidate, (*results, *failure.results), failure)
        return Measurement(candidate.number, tuple(results), (), None, None, seconds=0.0)

    def _time_finalists(
        self, candidates: list[Candidate], checked: dict[int, Measurement], job: ConfirmJob
    ) -> dict[int, Measurement]:
        """All in one process; should one fail there, each alone, so that only the one at fault is marked failed."""
        try:
            return self._time_together(candidates, checked, job)
        except NoResult as busy:
            return {each.number: replace(checked[each.number], reason=str(busy)) for each in candidates}
        except GateFailed as failure:
            self._session.renew()
            if len(candidates) > 1:
                alone = [self._time_finalists([candidate], checked, job) for candidate in candidates]
                return {number: measurement for each in alone for number, measurement in each.items()}
            [candidate] = candidates
            results = (*checked[candidate.number].gates, *failure.results)
            return {candidate.number: _unconfirmed(candidate, results, failure)}

    def _time_together(
        self, candidates: list[Candidate], checked: dict[int, Measurement], job: ConfirmJob
    ) -> dict[int, Measurement]:
        timings: dict[int, tuple[Timing, ...]] = {candidate.number: () for candidate in candidates}
        names = {f"{CANDIDATE} {candidate.number}": candidate for candidate in candidates}
        for place in range(len(candidates[0].builds)):
            sides = {name: (candidate, candidate.builds[place]) for name, candidate in names.items()}
            with self._session.loaded(sides, job.variant, job.seeds):
                builds = {name: built for name, (_, built) in sides.items()}
                keeper = TimingSession(self._session, builds, finalists=True)
                for name, timed in most_cautious([keeper.cold_and_warm(None) for _ in range(CONFIRM_RUNS)]).items():
                    timings[names[name].number] += timed
        return {number: replace(checked[number], timings=timed) for number, timed in timings.items()}


def _failed(candidate: Candidate, results: tuple[GateResult, ...], failure: GateFailed) -> Measurement:
    verdict = failure.verdict
    refuted = isinstance(failure, Refuted)
    return Measurement(candidate.number, results, (), verdict.gate, verdict.reason, seconds=0.0, refuted=refuted)


def _unconfirmed(candidate: Candidate, results: tuple[GateResult, ...], failure: GateFailed) -> Measurement:
    return Measurement(candidate.number, results, (), "confirm", str(failure), seconds=0.0)
